/* setup.h (private): from a plan and a pass to the state that walk.c walks, and back. */
#ifndef ARRAY_SETUP_H
#define ARRAY_SETUP_H

#include "array/walk.h"

bool walk_open(walk *w); /* plan, pass and m are set. False: no memory. Close it in any case. */
void walk_close(walk *w);
omni_status walk_run(walk *w, omni_error *err); /* walk.c */

#endif
