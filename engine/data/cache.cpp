#include "engine/data/cache.h"

#include <algorithm>
#include <cstring>

#include "engine/data/parallel.h"
#include "engine/io/hash.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr uint32_t kVersion = 2;
constexpr size_t kHexDigits = 32;

struct Header {
    char magic[8] = {'f', 'p', 'i', 'm', 'a', 'g', 'e', 's'};
    uint32_t version = kVersion, side = 0;
    uint64_t count = 0;
    char key[kHexDigits] = {};
};

Header header_of(const CacheId& id) {
    FP_CHECK(id.key.size() == kHexDigits, "cache: a key of ", id.key.size(), " characters");
    Header header{.side = uint32_t(id.side), .count = uint64_t(id.count)};
    std::copy(id.key.begin(), id.key.end(), header.key);
    return header;
}

}  // namespace

std::optional<PixelView> MemoryCache::find(int64_t sample) const {
    const std::shared_lock lock(mutex_);
    const auto found = images_.find(sample);
    return found == images_.end() ? std::nullopt : std::optional<PixelView>(found->second);
}

void MemoryCache::keep(int64_t sample, Pixels image) {
    const auto bytes = int64_t(image.rgb.size());
    const std::lock_guard lock(mutex_);
    if (bytes_ + bytes <= most_bytes_ && images_.try_emplace(sample, std::move(image)).second) bytes_ += bytes;
}

int64_t MemoryCache::kept() const {
    const std::shared_lock lock(mutex_);
    return int64_t(images_.size());
}

std::optional<CacheFile> CacheFile::open(const std::filesystem::path& path, const CacheId& id) {
    if (!std::filesystem::is_regular_file(path)) return std::nullopt;
    CacheFile cache;
    cache.file_ = MappedFile(path);
    const auto bytes = cache.file_.bytes();
    const size_t index_bytes = sizeof(Record) * size_t(id.count);
    const Header wanted = header_of(id);
    if (bytes.size() < sizeof wanted + index_bytes + kHexDigits) return std::nullopt;
    if (std::memcmp(bytes.data(), &wanted, sizeof wanted) != 0) return std::nullopt;

    const auto hashed = bytes.first(bytes.size() - kHexDigits);
    const std::string hash = xxh3(hashed);
    if (std::memcmp(hash.data(), bytes.last(kHexDigits).data(), kHexDigits) != 0) return std::nullopt;
    const auto index = hashed.last(index_bytes);
    const size_t index_begin = hashed.size() - index_bytes;
    cache.records_.resize(size_t(id.count));
    if (id.count > 0) std::memcpy(cache.records_.data(), index.data(), index_bytes);
    for (const Record& r : cache.records_) {
        if (r.offset > index_begin || uint64_t(r.width) * r.height > (index_begin - r.offset) / 3 ||
            r.width > 1u << 30 || r.height > 1u << 30)
            return std::nullopt;
    }
    return cache;
}

void CacheFile::write(const std::filesystem::path& path,
                      const CacheId& id,
                      const std::function<Pixels(int64_t sample)>& make,
                      int workers,
                      const std::function<void(int64_t done)>& progress) {
    const Header header = header_of(id);
    AtomicFile file(path);
    Xxh3 hash;
    const auto write = [&](std::span<const std::byte> bytes) {
        file.write(bytes);
        hash.add(bytes);
    };
    write(std::as_bytes(std::span(&header, 1)));
    uint64_t offset = sizeof header;
    std::vector<Record> records;
    for (int64_t begin = 0; begin < id.count; begin += kBlock) {
        std::vector<Pixels> block(size_t(std::min(kBlock, id.count - begin)));
        const auto fill = [&](int64_t i) {
            try {
                block[size_t(i)] = make(begin + i);
            } catch (const Error& error) {
                if (error.exit != Exit::data) throw;
            }
        };
        for_each_sample(int64_t(block.size()), workers, fill, [&](int64_t done) {
            if (progress && done < int64_t(block.size())) progress(begin + done);
        });
        for (const Pixels& image : block) {
            records.push_back({offset, uint32_t(image.width), uint32_t(image.height)});
            write(std::as_bytes(std::span(image.rgb)));
            offset += image.rgb.size();
        }
        if (progress) progress(begin + int64_t(block.size()));
    }
    write(std::as_bytes(std::span(records)));
    file.write(hash.hex());
    file.commit();
}

std::optional<PixelView> CacheFile::find(int64_t sample) const {
    const Record& r = records_[size_t(sample)];
    if (r.width == 0) return std::nullopt;
    const auto* rgb = reinterpret_cast<const uint8_t*>(file_.bytes().data() + r.offset);
    return PixelView(int(r.width), int(r.height), rgb);
}

}  // namespace fp
