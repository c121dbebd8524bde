/* status.c: errors as values. The first error of a chain is the cause, so it stays. */
#include <stdarg.h>
#include <stdio.h>

#include "omnibus/base.h"

omni_status omni_error_set(omni_error *err, omni_status status, const char *format, ...) {
    if (err && err->status == OMNI_OK) {
        err->status = status;
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        for (char *c = err->text; *c; c++) /* names from files may hold anything: keep it one line */
            if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    }
    return status;
}
