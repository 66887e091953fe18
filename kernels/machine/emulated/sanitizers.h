// The hooks of AddressSanitizer and ThreadSanitizer as weak symbols, which are null in a program without them, so that
// the same objects serve all builds.
#pragma once

#include <cstddef>

extern "C" {
[[gnu::weak]] void __asan_poison_memory_region(const volatile void* at, size_t bytes);
[[gnu::weak]] void __asan_unpoison_memory_region(const volatile void* at, size_t bytes);
[[gnu::weak]] void __sanitizer_start_switch_fiber(void** save, const void* bottom, size_t bytes);
[[gnu::weak]] void __sanitizer_finish_switch_fiber(void* save, const void** old_bottom, size_t* old_bytes);
[[gnu::weak]] void* __tsan_get_current_fiber();
[[gnu::weak]] void* __tsan_create_fiber(unsigned flags);
[[gnu::weak]] void __tsan_destroy_fiber(void* fiber);
[[gnu::weak]] void __tsan_switch_to_fiber(void* fiber, unsigned flags);
[[gnu::weak]] void __tsan_acquire(void* at);
[[gnu::weak]] void __tsan_release(void* at);
[[gnu::weak]] void AnnotateIgnoreReadsBegin(const char* file, int line);
[[gnu::weak]] void AnnotateIgnoreReadsEnd(const char* file, int line);
[[gnu::weak]] void AnnotateIgnoreWritesBegin(const char* file, int line);
[[gnu::weak]] void AnnotateIgnoreWritesEnd(const char* file, int line);
}

// For the machine's own bookkeeping: the scheduler orders it, in a way that ThreadSanitizer cannot see.
#define FP_UNTRACED __attribute__((no_sanitize("thread")))

namespace fp::emulated {

inline bool under_asan() { return &__asan_poison_memory_region != nullptr; }
inline bool under_tsan() { return &__tsan_create_fiber != nullptr; }

inline void poison(const volatile void* at, size_t bytes) {
    if (&__asan_poison_memory_region) __asan_poison_memory_region(at, bytes);
}
inline void unpoison(const volatile void* at, size_t bytes) {
    if (&__asan_unpoison_memory_region) __asan_unpoison_memory_region(at, bytes);
}
// What precedes published(at) happens before what follows observed(at).
inline void published(void* at) {
    if (&__tsan_release) __tsan_release(at);
}
inline void observed(void* at) {
    if (&__tsan_acquire) __tsan_acquire(at);
}

// During its life ThreadSanitizer ignores what this thread reads and writes, in library code too.
class Untraced {
public:
    FP_UNTRACED Untraced() {
        if (!&AnnotateIgnoreReadsBegin) return;
        AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
        AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    }
    FP_UNTRACED ~Untraced() {
        if (!&AnnotateIgnoreReadsBegin) return;
        AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
        AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    }
    Untraced(const Untraced&) = delete;
    Untraced& operator=(const Untraced&) = delete;
};

}  // namespace fp::emulated
