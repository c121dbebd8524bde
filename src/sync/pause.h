/* pause.h: what a spinner does between two looks. */
#ifndef OMNIBUS_SYNC_PAUSE_H
#define OMNIBUS_SYNC_PAUSE_H

static inline void cpu_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

#endif
