/* crew.h: threads for test cases. A crew's threads start together; each returns its verdict (NULL: fine), and
 * the thread that started them gets the first bad one after the join.
 */
#ifndef OMNIBUS_TEST_CREW_H
#define OMNIBUS_TEST_CREW_H

#include <pthread.h>

#include "cases.h"

enum { CREW_MOST = 64 };

typedef const char *crew_body(void *arg, size_t member);

typedef struct crew_member {
    pthread_t thread;
    struct crew *crew;
    size_t index;
    char text[200]; /* empty: fine */
} crew_member;

typedef struct crew {
    size_t count;
    crew_body *body;
    void *arg;
    pthread_barrier_t start;
    crew_member member[CREW_MOST];
} crew;

/* Dies (abort) when a thread cannot be made: no case can go on without its crew. */
void crew_start(crew *c, size_t count, crew_body *body, void *arg);
const char *crew_join(crew *c);
const char *crew_run(size_t count, crew_body *body, void *arg);

/* How much longer than usual to run: OMNIBUS_STRESS, at least 1. */
size_t stress_factor(void);

/* A number that depends on all three, as if drawn by chance. */
unsigned long long chance(unsigned long long seed, unsigned long long a, unsigned long long b);

/* Lets others run, so that the thread they wait for is late. */
void dawdle_us(long us);

#endif
