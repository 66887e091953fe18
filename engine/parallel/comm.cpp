#include "engine/parallel/comm.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "kernels/error.h"
#include "kernels/layout.h"

namespace fp {
namespace {

Comm& of_process() {
    static Comm comm;
    return comm;
}

// Host memory beside that of a device that `k` computes on: what one rank sends or receives of it.
class Staged {
public:
    explicit Staged(size_t bytes) : bytes_(bytes), block_(std::make_unique_for_overwrite<char[]>(bytes)) {}
    Staged(const Kernels& k, const void* device, size_t bytes, Stream stream) : Staged(bytes) {
        if (bytes > 0) k.memory.copy_out(block_.get(), device, bytes, stream);
    }
    void copy_in(const Kernels& k, void* device, Stream stream) const {
        if (bytes_ > 0) k.memory.copy_in(device, block_.get(), bytes_, stream);
    }
    operator char*() const { return block_.get(); }

private:
    size_t bytes_;
    std::unique_ptr<char[]> block_;
};

}  // namespace

std::string name(const Ranks& ranks) {
    if (ranks.ranks == 1) return "";
    return text("rank ", ranks.rank, " of ", ranks.ranks, ranks.host.empty() ? "" : " on " + ranks.host);
}

const Comm& world() { return of_process(); }
void set_world(const Comm& comm) { of_process() = comm; }

std::vector<char> Comm::gather_bytes(const void* mine, size_t bytes) const {
    if (alone()) return {static_cast<const char*>(mine), static_cast<const char*>(mine) + bytes};
    std::vector<char> all(bytes * size_t(ranks()));
    host_.all_gather(host_.state, mine, all.data(), bytes, {});
    count_sent(bytes);
    return all;
}

std::vector<std::string> Comm::gather(std::string_view mine) const {
    if (alone()) return {std::string(mine)};
    // A length and the first bytes, which of short values are all; a second exchange has the rest of long ones.
    struct Front {
        uint64_t length = 0;
        char bytes[248] = {};
    } front{.length = mine.size()};
    mine.copy(front.bytes, sizeof front.bytes);
    const auto packed = gather_bytes(&front, sizeof front);
    std::vector<Front> fronts(packed.size() / sizeof(Front));
    std::memcpy(fronts.data(), packed.data(), packed.size());
    uint64_t longest = 0;
    for (const Front& f : fronts) longest = std::max(longest, f.length);
    std::vector<std::string> out;
    for (const Front& f : fronts) out.emplace_back(f.bytes, std::min<uint64_t>(f.length, sizeof f.bytes));
    if (longest <= sizeof front.bytes) return out;
    std::string rest(mine.substr(std::min(mine.size(), sizeof front.bytes)));
    rest.resize(longest - sizeof front.bytes);
    const auto rests = gather_bytes(rest.data(), rest.size());
    for (size_t r = 0; r < out.size(); ++r)
        out[r].append(rests.data() + r * rest.size(), fronts[r].length - out[r].size());
    return out;
}

std::vector<double> Comm::sum(std::vector<double> mine) const {
    if (alone() || mine.empty()) return mine;
    const auto bytes = gather_bytes(mine.data(), mine.size() * sizeof(double));
    std::vector<double> all(mine.size() * size_t(ranks()));
    std::memcpy(all.data(), bytes.data(), bytes.size());
    for (size_t i = 0; i < mine.size(); ++i) {
        mine[i] = all[i];
        for (size_t r = 1; r < size_t(ranks()); ++r) mine[i] += all[r * mine.size() + i];
    }
    return mine;
}

bool Comm::any(bool mine) const {
    if (alone()) return mine;
    const char flag = mine ? 1 : 0;
    for (const char other : gather_bytes(&flag, 1))
        if (other) return true;
    return false;
}

std::string Comm::from_first(std::string_view value) const {
    if (alone()) return std::string(value);
    uint64_t length = value.size();
    host_.broadcast(host_.state, &length, sizeof length, 0, {});
    std::string out = first() ? std::string(value) : std::string(length, '\0');
    if (length > 0) host_.broadcast(host_.state, out.data(), length, 0, {});
    if (first()) count_sent(sizeof length + length);
    return out;
}

void Comm::wait_for_all() const { any(false); }

void Comm::exchange(const Kernels& k, const void* send, void* receive, size_t bytes, Stream stream) const {
    if (bytes == 0) return;
    if (alone()) return send == receive ? void() : k.memory.copy(receive, send, bytes, stream);
    count_sent(bytes);
    if (by_device(k)) return device_.all_to_all(device_.state, send, receive, bytes, stream);
    if (k.memory.is_host) return host_.all_to_all(host_.state, send, receive, bytes, {});
    const size_t whole = bytes * size_t(ranks());
    const Staged out(k, send, whole, stream), in(whole);
    host_.all_to_all(host_.state, out, in, bytes, {});
    in.copy_in(k, receive, stream);
}

void Comm::gather(const Kernels& k, const void* from, void* to, size_t bytes, Stream stream) const {
    if (bytes == 0) return;
    if (alone()) return from == to ? void() : k.memory.copy(to, from, bytes, stream);
    count_sent(bytes);
    if (by_device(k)) return device_.all_gather(device_.state, from, to, bytes, stream);
    if (k.memory.is_host) return host_.all_gather(host_.state, from, to, bytes, {});
    const Staged out(k, from, bytes, stream), in(bytes * size_t(ranks()));
    host_.all_gather(host_.state, out, in, bytes, {});
    in.copy_in(k, to, stream);
}

size_t Comm::reduce_bytes(const Kernels& k, int64_t count) const {
    if (alone()) return 0;
    const size_t padded = size_t(round_up(count, int64_t(ranks()))) * size_t(bytes_of(k.parameter));
    return count % ranks() == 0 ? padded : 2 * padded;
}

void Comm::reduce(const Kernels& k, par* values, int64_t count, void* scratch, Stream stream) const {
    if (alone() || count == 0) return;
    const int64_t slice = ceil_div(count, int64_t(ranks()));
    const size_t slice_bytes = size_t(slice) * size_t(bytes_of(k.parameter));
    const size_t padded = slice_bytes * size_t(ranks()), bytes = size_t(count) * size_t(bytes_of(k.parameter));
    auto* const parts = static_cast<char*>(scratch);  // slice `rank` of every rank's values
    const bool whole = padded == bytes;
    char* const all = whole ? reinterpret_cast<char*>(values) : parts + padded;
    if (!whole) {
        k.memory.copy(all, values, bytes, stream);
        k.memory.zero(all + bytes, padded - bytes, stream);
    }
    exchange(k, all, parts, slice_bytes, stream);
    auto* const sums = reinterpret_cast<par*>(parts);
    k.optimizer.sum_ranks(slice, {.ranks = ranks(), .parts = sums, .to = sums}, stream);
    gather(k, sums, all, slice_bytes, stream);
    if (!whole) k.memory.copy(values, all, bytes, stream);
}

void Comm::abort() const noexcept {
    if (device_.abort) drop_errors([&] { device_.abort(device_.state); });
    if (host_.abort) drop_errors([&] { host_.abort(host_.state); });
}

}  // namespace fp
