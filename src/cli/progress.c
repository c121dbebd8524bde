/* progress.c: a bar on stderr while many cases run: "[######..............] 6/20 megatron, 4 PEs". Only on a
 * terminal, never with --quiet, and gone at the end.
 */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"

enum { BAR = 24, SHOWN = 40 };

cli_progress cli_progress_begin(const cli *c, size_t total) {
    return (cli_progress){.shown = !c->quiet && total > 1 && isatty(STDERR_FILENO), .total = total};
}

void cli_progress_step(cli_progress *p, size_t done, const char *what) {
    if (!p->shown) return;
    char bar[BAR + 1];
    for (size_t i = 0; i < BAR; i++) bar[i] = i * p->total < done * BAR ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "\r\033[K[%s] %zu/%zu %.*s", bar, done, p->total, SHOWN, what);
    fflush(stderr);
}

void cli_progress_end(cli_progress *p) {
    if (p->shown) fputs("\r\033[K", stderr);
    p->shown = false;
}
