/* judge.c: the rules by which a claim is held against traffic. They count messages for one sequence in one
 * piece, so a verdict does not change with the batch.
 *
 *   granted to a part == what completes its output [+ what carries it away]: holds [and what is beside it]
 *   else: what is more, in place of what is less
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "plan/claims.h"

/* --- text ------------------------------------------------------------------------------------- */

/* A list of words; what does not fit is cut. */
typedef struct words {
    char text[240];
} words;

static void say(words *w, const char *separator, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void say(words *w, const char *separator, const char *format, ...) {
    char *end = w->text + strlen(w->text), *stop = w->text + sizeof w->text - 1;
    for (const char *c = separator; end != w->text && *c && end < stop; c++) *end++ = *c;
    va_list args;
    va_start(args, format);
    vsnprintf(end, (size_t)(stop - end) + 1, format, args);
    va_end(args);
}

enum { REDUCTIONS, GATHERS, BROADCASTS, ADDRESSED, KINDS };

typedef struct tally {
    long long n[KINDS];
} tally;

static tally tally_of(const omni_counters *c) {
    return (tally){{[REDUCTIONS] = (long long)c->reductions,
                    [GATHERS] = (long long)c->tree_gathers,
                    [BROADCASTS] = (long long)c->broadcasts,
                    [ADDRESSED] = (long long)c->addressed_messages}};
}

static tally tally_sum(tally a, tally b) {
    for (size_t k = 0; k < KINDS; k++) a.n[k] += b.n[k];
    return a;
}

static bool tally_none(tally a) {
    for (size_t k = 0; k < KINDS; k++)
        if (a.n[k]) return false;
    return true;
}

/* "1 reduction + 2 broadcasts" */
static words tally_text(tally a) {
    static const char *const names[KINDS] = {"reduction", "tree gather", "broadcast", "addressed message"};
    words w = {""};
    for (size_t k = 0; k < KINDS; k++)
        if (a.n[k]) say(&w, " + ", "%lld %s%s", a.n[k], names[k], a.n[k] == 1 ? "" : "s");
    return w;
}

bool moves_none(const moves *m) {
    return tally_none(tally_of(&m->one[IN_PREFILL]));
}

void judge_show(omni_claim *row, const moves *m) {
    row->one_prefill = m->one[IN_PREFILL];
    row->one_decode = m->one[IN_DECODE];
    row->prefill = m->all[IN_PREFILL];
    row->decode = m->all[IN_DECODE];
}

static void decide(judged *j, omni_verdict verdict, const words *why) {
    j->row->verdict = verdict;
    snprintf(j->row->reason, sizeof j->row->reason, "%s", why->text);
}

void judge_idle(judged *j, const char *why) {
    words w = {""};
    say(&w, "", "%s", why);
    decide(j, OMNI_CLAIM_IDLE, &w);
}

/* --- messages of parts ------------------------------------------------------------------------ */

static bool about(unsigned parts, size_t part) {
    return parts >> part & 1;
}

static tally own(const judged *j, size_t part) {
    return tally_of(&j->t->part[part].own.one[IN_PREFILL]);
}

static tally over(const judged *j, size_t part) {
    return tally_of(&j->t->part[part].over.one[IN_PREFILL]);
}

static tally moved_by(const judged *j, size_t part) {
    return tally_sum(own(j, part), over(j, part));
}

/* More (1) or less (-1) than granted. */
static tally excess(const judged *j, size_t part, tally got, int sign) {
    const expected *e = &j->c->grants[part];
    const int granted[KINDS] = {e->reductions, e->gathers, e->broadcasts, e->addressed};
    tally out = {{0}};
    for (size_t k = 0; k < KINDS; k++) {
        long long want = granted[k] == OTHERS ? (long long)j->t->p - 1 : granted[k];
        long long more = granted[k] == ANY ? 0 : sign * (got.n[k] - want);
        out.n[k] = more > 0 ? more : 0;
    }
    return out;
}

static bool as_granted(const judged *j, size_t part, tally got) {
    return tally_none(excess(j, part, got, 1)) && tally_none(excess(j, part, got, -1));
}

/* "1 tree gather in place of 1 reduction" */
static void say_difference(const judged *j, size_t part, tally got, words *bad) {
    bool several = (j->c->parts & (j->c->parts - 1)) != 0;
    words more = tally_text(excess(j, part, got, 1)), less = tally_text(excess(j, part, got, -1));
    const char *between = !less.text[0] ? "" : more.text[0] ? " in place of " : "no ";
    say(bad, ", ", "%s%s%s%s%s", several ? traffic_part_name((traffic_part)part) : "", several ? " " : "",
        more.text, between, less.text);
}

static void judge_part(const judged *j, size_t part, words *bad, words *plus) {
    tally self = own(j, part), all = moved_by(j, part);
    const omni_op *reader = j->t->part[part].reader;
    if (as_granted(j, part, all)) return;
    if (j->c->total || !as_granted(j, part, self))
        say_difference(j, part, j->c->total ? all : self, bad);
    else
        say(plus, ", ", "%s to %s", tally_text(over(j, part)).text, reader ? reader->name : "?");
}

/* What it does not speak of: part by part, or as a sum. */
static void list_beside(const judged *j, words *plus) {
    tally sum = {{0}};
    for (size_t part = 0; part < TRAFFIC_PARTS; part++) {
        tally got = moved_by(j, part);
        if (!about(j->c->beside, part) || tally_none(got)) continue;
        sum = tally_sum(sum, got);
        if (!j->c->beside_name)
            say(plus, ", ", "%s %s", traffic_part_name((traffic_part)part), tally_text(got).text);
    }
    if (j->c->beside_name && !tally_none(sum))
        say(plus, ", ", "%s %s", tally_text(sum).text, j->c->beside_name);
}

static void check_output(const judged *j, words *bad) {
    if (!j->c->distributed || j->t->out == OMNI_NO_VALUE) return;
    omni_placement at = j->plan->value[j->t->out].at;
    if ((at.kind == OMNI_SHARDED) != *j->c->distributed) say(bad, ", ", "output %s", omni_placement_name(at));
}

void judge_messages(judged *j) {
    words bad = {""}, plus = {""}, why = {""};
    for (size_t part = 0; part < TRAFFIC_PARTS; part++)
        if (about(j->c->parts, part)) judge_part(j, part, &bad, &plus);
    check_output(j, &bad);
    list_beside(j, &plus);
    words *hinted = bad.text[0] ? &bad : &plus;
    if (j->c->hint && hinted->text[0] && !tally_none(moved_by(j, j->c->hint_of)))
        say(hinted, " ", "(%s)", j->c->hint);
    if (bad.text[0]) say(&why, "", "%s", bad.text);
    if (plus.text[0]) say(&why, "; plus ", "%s", plus.text);
    decide(j, bad.text[0] ? OMNI_CLAIM_FAILS : plus.text[0] ? OMNI_CLAIM_HOLDS_PLUS : OMNI_CLAIM_HOLDS, &why);
}

void judge_added(judged *j) {
    words why = {""};
    for (size_t part = 0; part < TRAFFIC_PARTS; part++) {
        int from = j->t->part[part].from, to = j->t->part[part].to;
        tally got = moved_by(j, part);
        if (!about(j->c->parts, part)) continue;
        say(&why, ", ", "%s", tally_none(got) ? "nothing" : tally_text(got).text);
        if (part == PART_INPUT && from != OMNI_NO_VALUE && to != OMNI_NO_VALUE)
            say(&why, ": ", "%s -> %s", omni_placement_name(j->plan->value[from].at),
                omni_placement_name(j->plan->value[to].at));
    }
    decide(j, OMNI_CLAIM_ADDS, &why);
}

/* --- kinds of messages, whoever sends them ---------------------------------------------------- */

typedef struct taken {
    moves of;
    size_t steps, others, levels; /* as in traffic */
} taken;

static taken take_kinds(const judged *j, const omni_step_kind *kind, size_t kinds) {
    taken sum = {0};
    for (size_t i = 0; i < kinds; i++) {
        moves_add(&sum.of, &j->t->kind[kind[i]].of);
        sum.steps += j->t->kind[kind[i]].steps;
        sum.others += j->t->kind[kind[i]].others;
        sum.levels += j->t->kind[kind[i]].levels;
    }
    return sum;
}

static void decide_kind(judged *j, size_t steps, bool holds, const words *why) {
    if (steps == 0)
        judge_idle(j, "none is used");
    else
        decide(j, holds ? OMNI_CLAIM_HOLDS : OMNI_CLAIM_FAILS, why);
}

void judge_broadcasts(judged *j) {
    words why = {""};
    taken t = take_kinds(j, (omni_step_kind[]){OMNI_STEP_BROADCAST, OMNI_STEP_STREAM, OMNI_STEP_KV_SHARE}, 3);
    unsigned long long messages = t.of.one[IN_PREFILL].broadcasts;
    judge_show(j->row, &t.of);
    say(&why, "", "%zu of them, %llu message%s", t.steps, messages, messages == 1 ? "" : "s");
    decide_kind(j, t.steps, messages == t.steps, &why);
}

/* On the bus a message for each PE but perhaps one; on the tree there are fewer levels, which the notes don't
 * think of. */
void judge_iterations(judged *j) {
    words why = {""};
    taken tree = take_kinds(j, (omni_step_kind[]){OMNI_STEP_GATHER}, 1),
          bus = take_kinds(j, (omni_step_kind[]){OMNI_STEP_SCATTER, OMNI_STEP_COLLECT, OMNI_STEP_ALL_GATHER},
                           3);
    unsigned long long levels = tree.of.one[IN_PREFILL].tree_levels, messages;
    messages = bus.of.one[IN_PREFILL].broadcasts + bus.of.one[IN_PREFILL].addressed_messages;
    moves sum = bus.of;
    moves_add(&sum, &tree.of);
    judge_show(j->row, &sum);
    if (bus.steps) say(&why, ", ", "%zu on the bus, %llu messages", bus.steps, messages);
    if (tree.steps)
        say(&why, ", ", "%zu on the tree, %llu levels, not %zu messages", tree.steps, levels, tree.others);
    decide_kind(j, bus.steps + tree.steps, messages >= bus.others && levels >= tree.others, &why);
}

void judge_levels(judged *j) {
    words why = {""};
    taken t = take_kinds(j, (omni_step_kind[]){OMNI_STEP_REDUCE}, 1);
    unsigned long long levels = t.of.one[IN_PREFILL].tree_levels;
    judge_show(j->row, &t.of);
    say(&why, "", "%zu of them, %llu level%s", t.steps, levels, levels == 1 ? "" : "s");
    decide_kind(j, t.steps, levels <= t.levels, &why);
}
