// From image files to batches: images a second, on one thread unless a row says workers.
//
// FP_BENCH_IMAGES names a folder of JPEG files (say 500); without it the rows that read files are left out.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>

#include "engine/data/images.h"

namespace fp {
namespace {

constexpr int kImages = 512;  // at most, so that files stay in the page cache

const std::vector<std::vector<uint8_t>>& files() {
    static const auto read = [] {
        std::vector<std::vector<uint8_t>> out;
        const char* folder = std::getenv("FP_BENCH_IMAGES");
        if (!folder) return out;
        std::vector<std::filesystem::path> paths;
        for (const auto& entry : std::filesystem::directory_iterator(folder))
            if (entry.is_regular_file()) paths.push_back(entry.path());
        std::sort(paths.begin(), paths.end());
        paths.resize(std::min<size_t>(paths.size(), kImages));
        for (const auto& path : paths) {
            std::ifstream in(path, std::ios::binary);
            out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
        }
        return out;
    }();
    return read;
}

void count(benchmark::State& state, int64_t images) {
    state.counters["images/s"] = benchmark::Counter(double(images), benchmark::Counter::kIsRate);
}

// made(image): the address of what was made of it.
template <class Images, class Made>
void each(benchmark::State& state, const Images& images, const Made& made) {
    for (auto _ : state)
        for (const auto& image : images) benchmark::DoNotOptimize(made(image));
    count(state, int64_t(state.iterations()) * int64_t(images.size()));
}

void decode_files(benchmark::State& state) {
    each(state, files(), [](const auto& file) { return decode(file, "file").rgb.data(); });
}

void resize_files(benchmark::State& state) {
    const int side = int(state.range(0));
    std::vector<Pixels> decoded;
    for (const auto& file : files()) decoded.push_back(decode(file, "file"));
    std::vector<uint8_t> out(size_t(3) * side * side);
    each(state, decoded, [&](const Pixels& image) {
        fit_centre(image, side, out.data());
        return out.data();
    });
}

void decode_and_resize_files(benchmark::State& state) {
    const int side = int(state.range(0));
    std::vector<uint8_t> out(size_t(3) * side * side);
    each(state, files(), [&](const auto& file) {
        fit_centre(decode(file, "file"), side, out.data());
        return out.data();
    });
}

void augment_one(benchmark::State& state, const AugmentOptions& options) {
    const int side = int(state.range(0));
    const Dataset data = open_dataset("synth:n=1,size=" + std::to_string(side));
    std::vector<uint8_t> rgb(size_t(3) * side * side);
    render(*data.synth, 0, rgb.data());
    uint64_t key = 0;
    for (auto _ : state) augment(options, ++key, side, rgb.data());
    count(state, state.iterations());
}

// Batches of 128 out of memory: range(0) pixels a side, range(1) workers.
void load(benchmark::State& state, const AugmentOptions& options) {
    const int side = int(state.range(0));
    const Dataset data = open_dataset("synth:n=2048,size=" + std::to_string(side));
    DatasetImages images(data, {.image_size = side});
    const auto read = [&](int64_t sample, const View& view, int size, uint8_t* rgb) {
        images.read(sample, view, size, rgb);
    };
    Loader loader(read, std::vector<int32_t>(data.samples.size()),
                  {.batch_size = 128, .image_size = side, .workers = int(state.range(1)), .augment = options});
    std::vector<int64_t> order(data.samples.size());
    std::iota(order.begin(), order.end(), int64_t(0));
    Batch batch;
    loader.start(order, 0);  // fills the memory
    while (loader.next(batch)) {}
    uint64_t epoch = 0;
    int64_t samples = 0;
    for (auto _ : state) {
        loader.start(order, ++epoch);
        while (loader.next(batch)) samples += batch.n;
    }
    count(state, samples);
}

const AugmentOptions kFlips{.flip_across = 0.5, .flip_down = 0.5};
const AugmentOptions kFlipsAndShift{.shift = 4, .flip_across = 0.5, .flip_down = 0.5};

const bool registered = [] {
    if (!files().empty()) {
        benchmark::RegisterBenchmark("images/decode", decode_files);
        benchmark::RegisterBenchmark("images/resize", resize_files)->Arg(64)->Arg(128);
        benchmark::RegisterBenchmark("images/decode+resize", decode_and_resize_files)->Arg(64)->Arg(128);
    }
    benchmark::RegisterBenchmark("images/augment/flips", augment_one, kFlips)->Arg(64)->Arg(224);
    benchmark::RegisterBenchmark("images/augment/flips+shift", augment_one, kFlipsAndShift)->Arg(64);
    benchmark::RegisterBenchmark("images/augment/affine", augment_one, AugmentOptions{.affine = 1})->Arg(64)->Arg(224);
    benchmark::RegisterBenchmark("images/augment/colour", augment_one,
                                 AugmentOptions{.brightness = 0.1, .saturation = 0.5})
        ->Arg(64)
        ->Arg(224);
    benchmark::RegisterBenchmark("images/augment/auto", augment_one,
                                 AugmentOptions{.auto_augment = AutoAugment::cifar10})
        ->Arg(64)
        ->Arg(224);
    benchmark::RegisterBenchmark("images/augment/paper", augment_one, paper_augmentation())
        ->Arg(64)
        ->Arg(128)
        ->Arg(224);
    benchmark::RegisterBenchmark("images/load/flips", load, kFlips)->Args({64, 1})->Args({64, 2})->UseRealTime();
    benchmark::RegisterBenchmark("images/load/paper", load, paper_augmentation())
        ->Args({64, 2})
        ->Args({128, 2})
        ->UseRealTime();
    return true;
}();

}  // namespace
}  // namespace fp
