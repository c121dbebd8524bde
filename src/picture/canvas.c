/* canvas.c: what all pictures are made of: text that wraps, legends, places for plots, tics and units.
 *
 * gnuplot places its own titles and keys by guesses about text, and long names of plans defeat them. So they
 * are placed here, by a guess on the safe side: letters of the plain font are at most 0.6 of its size wide on
 * average, and names of plans are in a font where all of them are.
 */
#include <stdio.h>

#include "picture/internal.h"

const char *const canvas_colours[COLOURS] = {"#4477aa", "#ee6677", "#228833", "#ccbb44",
                                             "#66ccee", "#aa3377", "#dd8844", "#999999"};

static const double LETTER = 7.4; /* pixels */
enum { STEPS = 5 };               /* tics behind the first, at most */

/* --- text ------------------------------------------------------------------------------------- */

/* Bytes of the letter at s: 0 where it is no UTF-8. */
static size_t letter_bytes(const char *s, size_t most) {
    unsigned char lead = (unsigned char)*s;
    size_t n = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead >= 0x80 && lead < 0xc2) return 0;
    for (size_t i = 1; i < n; i++)
        if (i >= most || ((unsigned char)s[i] & 0xc0) != 0x80) return 0;
    return n;
}

/* In single quotes nothing is special but they themselves, and doubled ones are not understood everywhere. */
void canvas_quote(omni_text *out, const char *text, size_t bytes) {
    omni_text_add(out, "'");
    for (size_t i = 0; i < bytes;) {
        size_t n = letter_bytes(text + i, bytes - i);
        if (text[i] == '\'' || text[i] == '`')
            omni_text_add(out, "\u2019");
        else if (text[i] == '\\')
            omni_text_add(out, "/"); /* at the end of a line it would go on */
        else if (n == 0 || (unsigned char)text[i] < ' ' || text[i] == 127)
            omni_text_add(out, "?");
        else
            omni_text_append(out, text + i, n);
        i += n ? n : 1;
    }
    omni_text_add(out, "'");
}

static void add_label(canvas *c, double x, double y, const char *how, const char *text, size_t bytes) {
    omni_text_add(c->out, "set label ");
    canvas_quote(c->out, text, bytes);
    omni_text_add(c->out, " at screen %.1f/W, screen 1-%.1f/H %s\n", x, y, how);
}

void canvas_text(canvas *c, double x, double y, const char *how, const char *text) {
    add_label(c, x, y, how, text, strlen(text));
}

size_t canvas_columns(const canvas *c, double x) {
    double room = (c->width - MARGIN - x) / LETTER;
    return room > 16 ? (size_t)room : 16;
}

size_t canvas_line(const char *text, size_t columns) {
    size_t at = 0, cut = 0, letters = 0;
    while (text[at] && letters < columns) {
        at++;
        while (((unsigned char)text[at] & 0xc0) == 0x80) at++;
        letters++;
        if (strchr(" :,/", text[at - 1])) cut = at;
    }
    return text[at] && cut > at / 3 ? cut : at;
}

void canvas_wrapped(canvas *c, double x, size_t columns, const char *how, const char *text) {
    for (size_t n; (n = canvas_line(text, columns)); text += n) {
        add_label(c, x, c->y + LINE / 2.0, how, text, n);
        c->y += LINE;
    }
}

void canvas_title(canvas *c, const char *text) {
    c->y += 14;
    canvas_wrapped(c, MARGIN, canvas_columns(c, MARGIN) * 9 / 10, "left font 'sans-serif,15'", text);
    c->y += 4;
}

void canvas_note(canvas *c, const char *text) {
    canvas_wrapped(c, MARGIN, canvas_columns(c, MARGIN), "left tc rgb '#777777'", text);
}

/* --- legends ---------------------------------------------------------------------------------- */

static void add_box(canvas *c, double x, double y, double wide, double high, const char *colour) {
    omni_text_add(c->out,
                  "set object rectangle from screen %.1f/W, screen 1-%.1f/H to screen %.1f/W, screen "
                  "1-%.1f/H fc rgb '%s' fs solid noborder\n",
                  x, y + high / 2, x + wide, y - high / 2, colour);
}

static void draw_mark(canvas *c, double x, const canvas_key *key) {
    double y = c->y + LINE / 2.0;
    if (key->mark == MARK_BOX) add_box(c, x, y, 12, 12, key->colour);
    if (key->mark == MARK_MEASURED) add_box(c, x, y, 28, 2, key->colour);
    for (size_t i = 0; key->mark == MARK_MODELLED && i < 3;
         i++) /* dashes: as arrows they may get another's */
        add_box(c, x + 11 * (double)i, y, 6, 2, key->colour);
    for (size_t i = 0; key->mark == MARK_LINE && i < 6; i++)
        add_box(c, x + 5 * (double)i, y, 2, 2, key->colour);
    if (key->mark == MARK_MEASURED || key->mark == MARK_MODELLED)
        omni_text_add(c->out, "set label '' at screen %.1f/W, screen 1-%.1f/H point pt %d lc rgb '%s'\n",
                      x + 14, y, key->mark == MARK_MEASURED ? 7 : 6, key->colour);
}

void canvas_legend(canvas *c, const canvas_key *key, size_t count, bool list) {
    double x = MARGIN;
    for (size_t i = 0; i < count; i++) {
        double mark = key[i].mark == MARK_BOX ? 18 : 34,
               end = x + mark + LETTER * (double)strlen(key[i].text);
        if (!list && x > MARGIN && end > c->width - MARGIN) {
            end -= x - MARGIN;
            x = MARGIN;
            c->y += LINE;
        }
        draw_mark(c, x, &key[i]);
        if (list) {
            canvas_wrapped(c, x + mark, canvas_columns(c, x + mark), "left font 'monospace,12'", key[i].text);
        } else {
            canvas_text(c, x + mark, c->y + LINE / 2.0, "left", key[i].text);
            x = end + 10;
        }
    }
    c->y += list ? 0 : LINE;
}

/* --- plots ------------------------------------------------------------------------------------ */

void canvas_region(canvas *c, double left, double height) {
    omni_text_add(c->out,
                  "set lmargin at screen %.1f/W\nset rmargin at screen 1-%d.0/W\nset tmargin at screen "
                  "1-%.1f/H\nset bmargin at screen 1-%.1f/H\n",
                  left, MARGIN + 8, c->y, c->y + height);
    c->y += height;
}

/* By hand: gnuplot leaves them out where it finds no room. */
void canvas_axes(canvas *c, double left, double height, const char *across, const char *up) {
    canvas_text(c, left - 20, c->y + LINE / 2.0, "left tc rgb '#777777'", up);
    c->y += LINE + 8;
    canvas_region(c, left, height);
    c->y += TICS;
    canvas_text(c, (left + c->width - MARGIN) / 2, c->y + LINE / 2.0, "center tc rgb '#777777'", across);
    c->y += LINE;
}

void canvas_next(canvas *c) {
    omni_text_add(c->out, "unset label\nunset object\n");
}

double canvas_step(double span) {
    double least = span / STEPS, step = pow(10, floor(log10(least)));
    return least > 5 * step ? 10 * step : least > 2 * step ? 5 * step : least > step ? 2 * step : step;
}

static void add_tic(canvas *c, double at, double least, double most, const char **between) {
    if (at < least * 0.999 || at > most * 1.001) return;
    omni_text_add(c->out, "%s'%.6g' %.6g", *between, at, at);
    *between = ", ";
}

void canvas_decades(canvas *c, const char *axis, double least, double most) {
    static const int digit[] = {1, 2, 5};
    size_t digits = most / least < 1e3 ? 3 : 1;
    double step = canvas_step(most - least);
    const char *between = "";
    omni_text_add(c->out, "set %stics (", axis);
    if (most / least < 10)
        for (double n = floor(least / step); n * step <= most; n++)
            add_tic(c, n * step, least, most, &between);
    else
        for (int power = -18; power < 18; power++)
            for (size_t k = 0; k < digits; k++) add_tic(c, pow(10, power) * digit[k], least, most, &between);
    omni_text_add(c->out, ")\n");
}

/* --- units ------------------------------------------------------------------------------------ */

static unit unit_of(const unit *units, size_t count, double largest) {
    size_t i = 0;
    while (i + 1 < count && largest >= units[i + 1].each) i++;
    return units[i];
}

unit unit_of_time(double largest_s) {
    static const unit times[] = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}};
    return unit_of(times, 4, largest_s);
}

unit unit_of_bytes(double largest) {
    static const unit sizes[] = {{"bytes", 1}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}};
    return unit_of(sizes, 4, largest);
}
