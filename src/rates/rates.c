/* rates.c: the time of one message, product or op, from the curves. */
#include "omnibus/rates.h"

/* The largest team that was measured and is no larger than this. */
static size_t team_of(const omni_rates *r, size_t workers) {
    size_t t = 0;
    while (t + 1 < r->teams && r->workers[t + 1] <= (double)workers) t++;
    return t;
}

double omni_rates_message_ns(const omni_rates *r, omni_rates_message kind, size_t workers, size_t most,
                             double bytes) {
    double further = omni_curve_at(r->bytes, r->further_ns[kind], OMNI_RATES_SIZES, bytes);
    double ns = most > 1 ? (double)(most - 1) * further : 0;
    size_t team = team_of(r, workers);
    if (bytes <= 0) return 0;
    if (workers < 2 || team == 0) return ns;
    return ns + omni_curve_at(r->bytes, r->message_ns[kind][team], OMNI_RATES_SIZES, bytes);
}

double omni_rates_barrier_ns(const omni_rates *r, size_t workers) {
    return workers < 2 ? 0 : r->barrier_ns[team_of(r, workers)];
}

double omni_rates_pass_ns(const omni_rates *r, size_t workers) {
    return r->pass_ns[team_of(r, workers)];
}

double omni_rates_matmul_ns(const omni_rates *r, omni_dtype dtype, size_t workers, double set, double rows,
                            double in, double out) {
    size_t team = team_of(r, workers), type = dtype == OMNI_BF16;
    double ps[OMNI_RATES_SETS]; /* an output with its weights */
    if (rows <= 0 || in <= 0 || out <= 0) return 0;
    for (size_t s = 0; s < OMNI_RATES_SETS; s++)
        ps[s] = omni_curve_at(r->rows, r->weight_ps[type][s][team], OMNI_RATES_ROWS, rows) * in +
                omni_curve_at(r->rows, r->output_ps[type][s][team], OMNI_RATES_ROWS, rows);
    if (set > r->set_bytes[OMNI_RATES_STREAMED]) set = r->set_bytes[OMNI_RATES_STREAMED];
    return r->matmul_ns + omni_curve_at(r->set_bytes, ps, OMNI_RATES_SETS, set) * out * 1e-3;
}

double omni_rates_attention_ns(const omni_rates *r, omni_rates_pass pass,
                               const double terms[OMNI_FIT_TERMS]) {
    return r->attention[pass].head_ns * terms[0] +
           (r->attention[pass].pair_ps * terms[1] + r->attention[pass].mac_ps * terms[2] +
            r->attention[pass].byte_ps * terms[3]) *
               1e-3;
}

double omni_rates_op_ns(const omni_rates *r, omni_rates_op op, double bytes) {
    return bytes > 0 ? r->op[op].call_ns + r->op[op].byte_ps * bytes * 1e-3 : 0;
}
