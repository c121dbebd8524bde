/* base.h: what every room may use: status and error text, checked sizes, aligned memory, clock,
 * statistics, units, and split(), the one function that divides work.
 *
 * Errors are values. A function that can fail returns an omni_status and takes an omni_error (may be
 * NULL); on failure the text is one line without newline, "FILE: what is wrong (what was expected)".
 * Nothing below main prints or exits.
 */
#ifndef OMNIBUS_BASE_H
#define OMNIBUS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The values are the exit statuses of the program. */
typedef enum omni_status {
    OMNI_OK = 0,
    OMNI_CHECK_FAILED = 1, /* a check ran and failed */
    OMNI_BAD_INPUT = 2,    /* bad usage, bad input, or a plan that does not fit */
    OMNI_RUN_FAILED = 3,   /* the run itself failed: memory, threads, I/O */
    OMNI_INTERRUPTED = 130 /* the stop word was set */
} omni_status;

typedef struct omni_error {
    omni_status status;
    char text[480];
} omni_error;

/* Stores status and text unless err is NULL or already holds an error (the first one wins). Returns
 * status. */
omni_status omni_error_set(omni_error *err, omni_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- element types ---------------------------------------------------------------------------- */

typedef enum omni_dtype {
    OMNI_F32,
    OMNI_F16,
    OMNI_BF16,
    OMNI_F64,
    OMNI_I32,
    OMNI_I64,
    OMNI_U8,
    OMNI_BOOL,
    OMNI_DTYPES
} omni_dtype;

size_t omni_dtype_bytes(omni_dtype dtype);
const char *omni_dtype_name(omni_dtype dtype); /* as safetensors writes it: "F32", "BF16", ... */

/* 16-bit floats, F16 or BF16, from and to float32. To nearest, ties to even; what is too large for F16 becomes
 * infinite; NaN stays NaN, with its sign. The same bits on every CPU. Arrays may not overlap; omni_round_to's, which
 * goes through 16 bits and back, may be the same. */
void omni_narrow(omni_dtype to, const float *x, uint16_t *y, size_t n);
void omni_widen(omni_dtype from, const uint16_t *x, float *y, size_t n);
void omni_round_to(omni_dtype to, const float *x, float *y, size_t n);
static inline float omni_bf16_to_f32(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float f;
    memcpy(&f, &wide, sizeof f);
    return f;
}

/* --- functions that models name and kernels compute ------------------------------------------- */

typedef enum omni_norm { OMNI_NORM_RMS, OMNI_NORM_LAYER } omni_norm;
typedef enum omni_activation {
    OMNI_ACT_SWIGLU,   /* silu(gate) * up: the only one of two inputs */
    OMNI_ACT_GELU_NEW, /* in tanh form */
    OMNI_ACT_GELU,     /* exact, with erf */
    OMNI_ACT_RELU,
    OMNI_ACT_SILU,
    OMNI_ACT_TANH,
    OMNI_ACTIVATIONS
} omni_activation;

/* --- sizes: overflow-safe; false when the result does not fit in size_t ----------------------- */

bool omni_size_mul(size_t a, size_t b, size_t *out);
bool omni_size_add(size_t a, size_t b, size_t *out);
size_t omni_round_up(size_t n, size_t to); /* to: power of two; n small enough not to wrap */

/* --- division of work ------------------------------------------------------------------------- */

typedef struct omni_range {
    size_t start, count;
} omni_range;

/* Part `index` of `parts` when `total` things are split as evenly as can be, the first (total mod parts)
 * parts one larger. Neighbouring indices own neighbouring things; empty parts are legal.
 *   total 10, parts 4: {0,3} {3,3} {6,2} {8,2}      total 2, parts 3: {0,1} {1,1} {2,0} */
omni_range omni_split(size_t total, size_t parts, size_t index);

/* What two ranges have in common; without it, an empty one. And whether one has an item. */
omni_range omni_range_meet(omni_range a, omni_range b);
bool omni_range_has(omni_range r, size_t item);
/* The part that owns `item`: the inverse of omni_split. item < total. */
size_t omni_split_owner(size_t total, size_t parts, size_t item);

/* Two levels: `runs` runs of `each` things one after the other. The parts are split over the runs, then a
 * run's things over its parts; so neighbours still own neighbouring things, and no part has things of two
 * runs. runs <= parts.
 *   runs 2, each 3, parts 5: {0,1} {1,1} {2,1} {3,2} {5,1} */
omni_range omni_split_runs(size_t runs, size_t each, size_t parts, size_t index);

size_t omni_ceil_log2(size_t n); /* 0 for n <= 1 */

/* --- memory: ordinary heap, 128-byte aligned, zeroed; NULL when refused. Free with omni_free. --- */

#define OMNI_CACHE_LINE 128 /* two lines: the spatial prefetcher pulls pairs */

void *omni_alloc(size_t bytes);
void *omni_alloc_array(size_t count, size_t bytes); /* NULL also on overflow */
void omni_free(void *p);

/* --- clock and statistics --------------------------------------------------------------------- */

uint64_t omni_clock_ns(void); /* monotonic */
/* A clock that is cheaper to read, in ticks of its own; the same on all threads. `start` before any of them reads it, by the
 * main thread; again does nothing. `ns`: nanoseconds in a tick, as measured from the start until now: the better the more
 * time has gone by. */
void omni_ticks_start(void);
uint64_t omni_ticks(void);
double omni_ticks_ns(void);
double omni_median(double *values, size_t n);     /* sorts values; NaN for n = 0 */
double omni_mean(const double *values, size_t n); /* NaN for n = 0 */
/* Of a sample: sqrt(sum (x - mean)^2 / (n - 1)). 0 for n = 1, NaN for n = 0. */
double omni_stddev(const double *values, size_t n);

/* --- files ------------------------------------------------------------------------------------ */

/* All of a regular file of at most max bytes into *out, malloc'd, with a NUL behind the last byte; free with
 * free(). `what` says what was expected, for messages ("a JSON file"). A fifo or a device is refused without
 * waiting for it. */
omni_status omni_file_read(const char *path, size_t max, const char *what, char **out, size_t *bytes,
                           omni_error *err);

/* --- units and text --------------------------------------------------------------------------- */

/* "0 B", "512 B", "1.50 KiB", "3.20 GiB". Returns buf. */
const char *omni_format_bytes(char *buf, size_t cap, uint64_t bytes);

/* A whole decimal number without sign or spaces, at most max; false otherwise. */
bool omni_parse_size(const char *text, size_t max, size_t *out);

/* "2GiB", "500MB", "4096": a whole number and a unit: B, KB, MB, GB, TB (of 1000), KiB, MiB, GiB, TiB (of
 * 1024), none. False for anything else. */
bool omni_parse_bytes(const char *text, uint64_t *out);

/* Typing errors between two short words: letters missing, added or changed, neighbours swapped. Words longer than 63
 * are far from everything. */
size_t omni_edit_distance(const char *a, const char *b);

/* "Did you mean": shown one after the other all names that there are, keeps the one that was probably meant: the first
 * with the fewest errors, at most two, and fewer than the word has letters. A name's first three letters or
 * more are no further than that. */
typedef struct omni_guess {
    const char *word; /* as typed; outlives the guess */
    size_t errors;
    char nearest[64]; /* empty: none is near */
} omni_guess;
omni_guess omni_guess_start(const char *word);
void omni_guess_try(omni_guess *g, const char *name);

/* --- files that come with omnibus ------------------------------------------------------------- */

/* Where the file is that a person calls `file`; false when nowhere. First as it is. Then, a name without '/' as
 * configs/KIND/NAMESUFFIX, and "configs/..." as it is, below: the current directory (a checkout),
 * $OMNIBUS_SHARE, the checkout that the program was built in, and ../share/omnibus from the program or the
 * shared library that this code is in. */
bool omni_share_find(const char *file, const char *kind, const char *suffix, char *path, size_t cap);
/* All names of a kind; one that is below several of these comes several times. */
typedef void omni_share_visit(void *arg, const char *name);
void omni_share_each(const char *kind, const char *suffix, omni_share_visit *visit, void *arg);
void omni_share_guess(const char *kind, const char *suffix, omni_guess *g);

#endif
