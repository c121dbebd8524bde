/* internal.h: what the files of this room share. */
#ifndef OMNIBUS_REPORT_INTERNAL_H
#define OMNIBUS_REPORT_INTERNAL_H

#include "omnibus/report.h"

/* text.c. t may be NULL. */
void text_fail(omni_text *t); /* memory failed elsewhere: the text is not complete */
bool text_failed(const omni_text *t);
size_t text_length(const omni_text *t);

/* json.c: a number, true, false or null as JSON writes it. Anything else draws nothing. */
void json_draw_plain(const json_t *value, omni_text *out);

#endif
