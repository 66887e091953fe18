// The same work for every sample of a data set, on several threads.
#pragma once

#include <cstdint>
#include <functional>

namespace fp {

// Calls work(i) once for every i in 0 .. n - 1, in no certain order, on `threads` threads (0: one per hardware
// thread). `progress`, if any, is told how many are done, now and then, by one thread at a time. After an exception
// no more work begins; the one of the lowest i is thrown here.
void for_each_sample(int64_t n,
                     int threads,
                     const std::function<void(int64_t i)>& work,
                     const std::function<void(int64_t done)>& progress = nullptr);

}  // namespace fp
