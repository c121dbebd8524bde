/* sanitized.h: whether a sanitizer watches, under which what is right anyway is tried less often: the whole
 * matrix runs in the release variant. */
#ifndef TESTS_SANITIZED_H
#define TESTS_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

#endif
