// The same work for every sample of a data set, on several threads.
#pragma once

#include <cstdint>
#include <functional>

namespace fp {

// Calls work(i) once for every i in 0 .. n - 1, in any order, on `threads` threads (0: one per hardware thread).
// `progress`, if any, is called from time to time with the number done, by one thread at a time. After an exception no
// more work begins; the exception of the lowest i is rethrown.
void for_each_sample(int64_t n,
                     int threads,
                     const std::function<void(int64_t i)>& work,
                     const std::function<void(int64_t done)>& progress = nullptr);

}  // namespace fp
