/* internal.h: what the files of this room share. */
#ifndef OMNIBUS_CONFIG_INTERNAL_H
#define OMNIBUS_CONFIG_INTERNAL_H

#include "omnibus/config.h"

/* One way in for both origins. `where` names the value in errors and is copied: "--pes", "FILE:3: pes". */
omni_status config_store(omni_settings *s, omni_option_id id, const char *value, omni_origin origin,
                         const char *where, omni_error *err);

omni_command config_command_of(const omni_settings *s);

/* The settings in a JSON result. */
omni_status config_load_result(omni_settings *s, const char *path, omni_error *err);

#endif
