/* plot.c: `omnibus plot` and `omnibus report`: pictures and a page from results that were written with
 * --format json.
 *
 *   RESULT... -> points -> one picture, or a page with all that there are points for -> --out
 */
#include "cli/cli.h"
#include "omnibus/picture.h"

/* What shows nothing is left out with a note, as long as something remains. */
static void note_unseen(const cli *c, const omni_results *r, bool page) {
    size_t i;
    const json_t *file;
    json_array_foreach(omni_results_files(r), i, file) {
        const char *why = omni_results_unseen(file, page);
        if (why) cli_note(c, "%s: left out: %s", json_string_value(json_object_get(file, "path")), why);
    }
}

static omni_status open_results(const cli *c, bool page, omni_results **out, omni_error *err) {
    omni_status status = OMNI_OK;
    omni_results *r = *out = omni_results_create();
    cli_release_signals();
    if (!r) return omni_error_set(err, OMNI_RUN_FAILED, "out of memory");
    for (size_t i = 0; i < c->operand_count && !status; i++)
        status = omni_results_add(r, c->operands[i], err);
    if (!status) status = omni_results_need(r, page, err);
    if (!status) note_unseen(c, r, page);
    return status;
}

static const char *out_of(const cli *c, omni_error *err) {
    const char *path = cli_value(c, OMNI_OPT_OUT);
    const char *name = omni_command_name(c->command);
    if (!path)
        omni_error_set(err, OMNI_BAD_INPUT,
                       "%s: no --out (expected a file to draw into; see omnibus %s --help)", name, name);
    return path && omni_output_check(path, err) == OMNI_OK ? path : NULL;
}

static bool ends_in(const char *path, const char *end) {
    size_t n = strlen(path), m = strlen(end);
    return n > m && strcmp(path + n - m, end) == 0;
}

/* The one that was asked for, or the first that there are points for. */
static omni_status choose(const cli *c, const omni_results *r, omni_picture *out, omni_error *err) {
    const char *name = cli_value(c, OMNI_OPT_PICTURE);
    size_t p = 0;
    omni_text *others = omni_text_create();
    omni_status status = OMNI_OK;
    if (name) {
        omni_text_free(others);
        if (omni_picture_find(name, out)) return OMNI_OK;
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "--picture: '%.40s' (expected scaling, time, ops, best, bytes or prediction)",
                              name);
    }
    while (p < OMNI_PICTURES && !omni_picture_has(r, (omni_picture)p)) p++;
    *out = (omni_picture)p;
    if (p == OMNI_PICTURES)
        status =
            omni_error_set(err, OMNI_BAD_INPUT,
                           "%.300s: nothing to draw: no time and no bytes in it (expected a bench, plan, run "
                           "or calibrate with --format json)",
                           c->operands[0]);
    for (size_t k = p + 1; k < OMNI_PICTURES; k++)
        if (omni_picture_has(r, (omni_picture)k))
            omni_text_add(others, " %s", omni_picture_name((omni_picture)k));
    if (!status && *omni_text_string(others))
        cli_note(c, "drawn: %s; --picture also knows, from these results:%s", omni_picture_name(*out),
                 omni_text_string(others));
    omni_text_free(others);
    return status;
}

omni_status cli_plot(cli *c, omni_error *err) {
    omni_results *r = NULL;
    omni_picture picture;
    const char *path = out_of(c, err);
    if (!path) return err->status;
    bool png = ends_in(path, ".png");
    if (!png && !ends_in(path, ".svg"))
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "--out: '%.200s' (expected a name that ends in .svg or .png)", path);
    omni_text *image = omni_text_create();
    omni_status status = open_results(c, false, &r, err);
    if (!status) status = choose(c, r, &picture, err);
    if (!status) status = omni_picture_draw(r, picture, png ? OMNI_IMAGE_PNG : OMNI_IMAGE_SVG, image, err);
    if (!status) status = omni_text_emit(image, path, err);
    omni_text_free(image);
    omni_results_free(r);
    return status;
}

omni_status cli_report(cli *c, omni_error *err) {
    omni_results *r = NULL;
    const char *path = out_of(c, err);
    if (!path) return err->status;
    omni_text *page = omni_text_create();
    omni_status status = open_results(c, true, &r, err);
    if (!status) status = omni_page_draw(r, cli_assumed, page, err);
    if (!status) status = omni_text_emit(page, path, err);
    omni_text_free(page);
    omni_results_free(r);
    return status;
}
