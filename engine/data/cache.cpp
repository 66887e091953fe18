#include "engine/data/cache.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

#include "engine/io/hash.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr uint32_t kVersion = 1;
constexpr size_t kHexDigits = 32;

struct Header {
    char magic[8] = {'f', 'p', 'i', 'm', 'a', 'g', 'e', 's'};
    uint32_t version = kVersion, side = 0;
    uint64_t count = 0;
    char key[kHexDigits] = {};
};

Header header_of(const std::string& key, int side, int64_t count) {
    FP_CHECK(key.size() == kHexDigits, "cache: a key of ", key.size(), " characters");
    Header header{.side = uint32_t(side), .count = uint64_t(count)};
    std::copy(key.begin(), key.end(), header.key);
    return header;
}

// work(i) for 0 <= i < count on several threads; throws what the lowest i threw.
void in_parallel(int64_t count, int workers, const std::function<void(int64_t)>& work) {
    std::atomic<int64_t> next = 0;
    std::mutex mutex;
    std::exception_ptr error;
    int64_t failed = count;
    const auto run = [&] {
        for (int64_t i; (i = next++) < count;) {
            try {
                work(i);
            } catch (...) {
                const std::lock_guard lock(mutex);
                if (i < failed) {
                    failed = i;
                    error = std::current_exception();
                }
            }
        }
    };
    std::vector<std::thread> threads;
    for (int t = 1; t < workers; ++t) threads.emplace_back(run);
    run();
    for (std::thread& thread : threads) thread.join();
    if (error) std::rethrow_exception(error);
}

}  // namespace

MemoryCache::MemoryCache(int64_t samples, int64_t most_bytes) : images_(samples), most_bytes_(most_bytes) {}

MemoryCache::~MemoryCache() {
    for (const auto& image : images_) delete image.load();
}

std::optional<PixelView> MemoryCache::find(int64_t sample) const {
    const Pixels* image = images_[sample].load(std::memory_order_acquire);
    if (!image) return std::nullopt;
    return *image;
}

void MemoryCache::keep(int64_t sample, Pixels image) {
    const auto bytes = int64_t(image.rgb.size());
    if (bytes_.fetch_add(bytes) + bytes > most_bytes_) {
        bytes_ -= bytes;
        return;
    }
    auto mine = std::make_unique<Pixels>(std::move(image));
    Pixels* nobody = nullptr;
    if (images_[sample].compare_exchange_strong(nobody, mine.get())) {
        mine.release();
        ++kept_;
    } else {
        bytes_ -= bytes;  // another thread was first
    }
}

std::optional<CacheFile> CacheFile::open(const std::filesystem::path& path,
                                         const std::string& key,
                                         int side,
                                         int64_t count) {
    if (!std::filesystem::is_regular_file(path)) return std::nullopt;
    CacheFile cache;
    cache.file_ = MappedFile(path);
    const auto bytes = cache.file_.bytes();
    const size_t index_bytes = sizeof(Record) * size_t(count);
    if (bytes.size() < sizeof(Header) + index_bytes + kHexDigits) return std::nullopt;
    const Header wanted = header_of(key, side, count);
    if (std::memcmp(bytes.data(), &wanted, sizeof wanted) != 0) return std::nullopt;

    const size_t index_begin = bytes.size() - kHexDigits - index_bytes;
    const auto index = bytes.subspan(index_begin, index_bytes);
    const std::string hash = xxh3(index);
    if (std::memcmp(hash.data(), bytes.last(kHexDigits).data(), kHexDigits) != 0) return std::nullopt;
    cache.records_.resize(size_t(count));
    if (count > 0) std::memcpy(cache.records_.data(), index.data(), index_bytes);
    for (const Record& r : cache.records_) {
        if (r.offset > index_begin || uint64_t(r.width) * r.height > (index_begin - r.offset) / 3 ||
            r.width > 1u << 30 || r.height > 1u << 30)
            return std::nullopt;
    }
    return cache;
}

void CacheFile::write(const std::filesystem::path& path,
                      const std::string& key,
                      int side,
                      int64_t count,
                      const std::function<Pixels(int64_t sample)>& make,
                      int workers,
                      const std::function<void(int64_t done)>& progress) {
    constexpr int64_t kBlock = 256;  // images in memory at a time
    const Header header = header_of(key, side, count);
    AtomicFile file(path);
    file.write(std::as_bytes(std::span(&header, 1)));
    uint64_t offset = sizeof header;
    std::vector<Record> records;
    std::vector<Pixels> block;
    for (int64_t begin = 0; begin < count; begin += kBlock) {
        const int64_t size = std::min(kBlock, count - begin);
        block.assign(size_t(size), {});
        in_parallel(size, workers, [&](int64_t i) {
            try {
                block[size_t(i)] = make(begin + i);
            } catch (const Error& error) {
                if (error.exit != Exit::data) throw;
            }
        });
        for (const Pixels& image : block) {
            records.push_back({offset, uint32_t(image.width), uint32_t(image.height)});
            file.write(std::as_bytes(std::span(image.rgb)));
            offset += image.rgb.size();
        }
        if (progress) progress(begin + size);
    }
    const auto index = std::as_bytes(std::span(records));
    file.write(index);
    file.write(xxh3(index));
    file.commit();
}

std::optional<PixelView> CacheFile::find(int64_t sample) const {
    const Record& r = records_[size_t(sample)];
    if (r.width == 0) return std::nullopt;
    const auto* rgb = reinterpret_cast<const uint8_t*>(file_.bytes().data() + r.offset);
    return PixelView(int(r.width), int(r.height), rgb);
}

}  // namespace fp
