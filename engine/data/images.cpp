#include "engine/data/images.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "engine/data/augment/resize.h"
#include "engine/io/files.h"
#include "engine/io/hash.h"
#include "engine/io/temporaries.h"
#include "engine/parallel/agree.h"
#include "kernels/error.h"

namespace fp {
namespace {

// A quarter of what this process may use: of the machine's memory, its own address space (ulimit -v) or the limit of
// its control group. Ranks of one host divide it.
int64_t default_bytes(const Comm* ranks) {
    int64_t most = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
    rlimit limit{};
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur < rlim_t(most)) most = int64_t(limit.rlim_cur);
    for (const char* group : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
        std::ifstream in(group);
        if (int64_t bytes = 0; in >> bytes) most = std::min(most, bytes);
    }
    return most / 4 / (ranks ? std::max(1, ranks->numbered().local_ranks) : 1);
}

// Short side at `side`. A long side over kLongest * side is cut at both ends, by a multiple of four pixels in all: so
// centre_window of the rest is that of the whole, rounding included.
Pixels fit(Pixels in, int side) {
    const Size full = fit_short_side({in.width, in.height}, side);
    const auto kept = [&](int length) {
        const int over = std::max(0, length - kLongest * side);
        return length - (over + 3) / 4 * 4;
    };
    const Window part = centre_window(full, kept(full.width), kept(full.height));
    if (part == Window{0, 0, in.width, in.height}) return in;
    return resize(in, full, part);
}

}  // namespace

Pixels read_image(const Dataset& data, int64_t sample, const DecodeOptions& options) {
    if (!data.synth) return decode_file(image_file(data, data.samples[size_t(sample)]), options);
    Pixels image = black(data.synth->size, data.synth->size);
    render(*data.synth, sample, image.rgb.data());
    return image;
}

DatasetImages::DatasetImages(const Dataset& data, const ImageOptions& options)
    : data_(data),
      options_(options),
      memory_(options.memory_bytes < 0 ? default_bytes(options.ranks) : options.memory_bytes) {
    if (!options.cache.empty()) open_cache(options.ranks ? *options.ranks : Comm());
}

void DatasetImages::open_cache(const Comm& ranks) {
    const CacheId id{.key = key(), .side = options_.image_size, .count = int64_t(data_.samples.size())};
    cache_path_ = options_.cache / ("images-" + id.key + ".cache");
    agree(ranks, [&] {
        std::error_code error;
        std::filesystem::create_directories(options_.cache, error);
        FP_REQUIRE(!error, Exit::data, options_.cache.string(), ": cannot be made: ", error.message());
        file_ = CacheFile::open(cache_path_, id);
    });
    const auto write = [&] {
        remove_stale_temporaries(options_.cache, Exit::data, ".cache");
        const auto progress = [&](int64_t done) {
            if (done % CacheFile::kBlock == 0) ranks.any(true);  // so that no rank waits longer than for a block
            if (options_.progress) options_.progress(done, id.count);
        };
        CacheFile::write(
            cache_path_, id, [this](int64_t sample) { return make(sample); }, 0, progress);
        wrote_cache_ = true;
    };
    for (const bool writes : {ranks.first(), ranks.numbered().local_rank == 0}) {
        if (!ranks.any(!file_)) return;
        std::exception_ptr failure;
        try {
            if (writes && !file_) write();
        } catch (...) {
            failure = std::current_exception();
        }
        while (ranks.any(false)) {}  // while another rank writes
        agree(ranks, [&] {
            if (failure) std::rethrow_exception(failure);
            if (!file_) file_ = CacheFile::open(cache_path_, id);
        });
    }
    FP_CHECK(file_, cache_path_.string(), ": does not open although it was just written");
}

void DatasetImages::read(int64_t sample, const View& view, int side, uint8_t* rgb) {
    FP_CHECK(side == options_.image_size, "images of ", side, " asked, they are prepared for ", options_.image_size);
    std::optional<PixelView> image = file_ ? file_->find(sample) : memory_.find(sample);
    if (image) return crop(*image, view, side, rgb);
    Pixels made = make(sample);  // throws what is wrong with a bad image, each time
    crop(made, view, side, rgb);
    if (!file_) memory_.keep(sample, std::move(made));
}

bool DatasetImages::all_cached() const { return file_ || memory_.kept() == int64_t(data_.samples.size()); }

Pixels DatasetImages::make(int64_t sample) const {
    return fit(read_image(data_, sample, options_.decode), options_.image_size);
}

// What the cached bytes depend on: the transform, and every file's name, size and time of change.
std::string DatasetImages::key() const {
    Xxh3 hash;
    const auto add = [&](const std::string& part) { hash.add(as_bytes(part + '\n')); };
    add(text("short side ", options_.image_size, ", at most ", kLongest, " squares, triangle filter"));
    add(text("damaged images ", options_.decode.allow_damaged, ' ', options_.decode.max_pixels));
    if (data_.synth) {
        add(to_string(*data_.synth));
        return hash.hex();
    }
    for (const Sample& sample : data_.samples) {
        struct stat file {};
        const bool there = stat(image_file(data_, sample).c_str(), &file) == 0;
        add(sample.image);
        if (there) add(text(file.st_size, ' ', file.st_mtim.tv_sec, ' ', file.st_mtim.tv_nsec));
    }
    return hash.hex();
}

}  // namespace fp
