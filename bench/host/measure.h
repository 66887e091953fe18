// How every kernel bench measures: a warm-up, then each call timed alone. Rates of arithmetic and of bytes are those of the
// fastest call: on a shared machine the others also time other programs, whose use is given as `foreign` (in processors,
// 0 on a quiet machine).
#pragma once

#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "kernels/error.h"
#include "kernels/kernels.h"
#include "kernels/random.h"

namespace fp::bench {

// Memory of a device that holds numbers in (-1, 1): zeros would flatter a processor that saves power.
class Buffer {
public:
    Buffer(const Kernels& k, size_t bytes) : memory_(k.memory), block_(memory_.alloc(bytes)) {}
    Buffer(const Kernels& k, Type type, int64_t count) : Buffer(k, size_t(count) * size_t(bytes_of(type))) {
        const size_t bytes = size_t(count) * size_t(bytes_of(type));
        const std::vector<std::byte> some = numbers(type);
        for (size_t at = 0; at < bytes; at += some.size()) {
            memory_.copy_in(data() + at, some.data(), std::min(some.size(), bytes - at), {});
        }
        memory_.synchronize({});
    }
    ~Buffer() { memory_.release(block_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    std::byte* data() const { return static_cast<std::byte*>(block_); }
    template <class T>
    operator T*() const {  // whichever pointer an op takes
        return static_cast<T*>(block_);
    }

private:
    static std::vector<std::byte> numbers(Type type) {
        constexpr size_t kCount = 1 << 16;
        std::vector<std::byte> bytes(kCount * size_t(bytes_of(type)));
        const auto put = [&](size_t i, auto value) {
            std::copy_n(reinterpret_cast<const std::byte*>(&value), sizeof value, &bytes[i * sizeof value]);
        };
        for (size_t i = 0; i < kCount; ++i) {
            const float value = 2 * uniform(key_of(1), i) - 1;
            if (type == Type::f32) put(i, value);
            if (type == Type::f64) put(i, double(value));
            if (type == Type::bf16) put(i, uint16_t(std::bit_cast<uint32_t>(value) >> 16));
        }
        return bytes;
    }

    const Memory& memory_;
    void* block_;
};

// Processor seconds used on this machine so far, by all and by this process.
struct Usage {
    double all = 0, own = 0;

    static Usage now() {
        Usage usage;
        std::ifstream stat("/proc/stat");
        std::string word;
        stat >> word;
        double ticks = 0;
        for (int i = 0; i < 8 && stat >> ticks; ++i) {
            const bool idle = i == 3 || i == 4;
            if (!idle) usage.all += ticks / 100;
        }
        rusage own{};
        getrusage(RUSAGE_SELF, &own);
        for (const timeval& t : {own.ru_utime, own.ru_stime}) {
            usage.own += double(t.tv_sec) + 1e-6 * double(t.tv_usec);
        }
        return usage;
    }
};

template <class Work>
void measure(benchmark::State& state, const Kernels& k, double flops, double bytes, const Work& work) {
    using Clock = std::chrono::steady_clock;
    const Stream stream;
    work(stream);
    k.memory.synchronize(stream);
    const Usage before = Usage::now();
    double fastest = 1e30, total = 0;
    for (auto _ : state) {
        const auto start = Clock::now();
        work(stream);
        k.memory.synchronize(stream);
        const double taken = std::chrono::duration<double>(Clock::now() - start).count();
        state.SetIterationTime(taken);
        fastest = std::min(fastest, taken);
        total += taken;
    }
    const Usage after = Usage::now();
    const double others = (after.all - before.all) - (after.own - before.own);
    state.counters["best_ms"] = fastest * 1e3;
    state.counters["GFLOP/s"] = flops / fastest * 1e-9;
    state.counters["GB/s"] = bytes / fastest * 1e-9;
    state.counters["foreign"] = std::max(0.0, others / total);
}

// Registers a bench whose body calls `measure`.
template <class Body>
void add(const std::string& name, const Body& body) {
    benchmark::RegisterBenchmark(name.c_str(), body)->UseManualTime()->Unit(benchmark::kMillisecond);
}

struct Case {
    std::string op, name;
    double flops = 0, bytes = 0;  // of one call
};

// Registers OP/DEVICE/NAME. It makes a Data(k, shape), which holds the memory of the op, and measures run(data, stream).
template <class Data, class Shape, class Run>
void add(const Kernels& k, const Case& c, const Shape& shape, const Run& run) {
    add(text(c.op, "/", k.name, "/", c.name), [=, &k](benchmark::State& state) {
        Data data(k, shape);
        measure(state, k, c.flops, c.bytes, [&](Stream stream) { run(data, stream); });
    });
}

// Calls f(k) for each device worth timing that is here. Returns true, so that a static variable can have it done at start.
template <class F>
bool on_each_device(const F& f) {
    for (const Backend b : {Backend::cpu, Backend::onednn, Backend::cuda, Backend::cudnn})
        if (const Kernels* k = find_kernels(b)) f(*k);
    return true;
}

}  // namespace fp::bench
