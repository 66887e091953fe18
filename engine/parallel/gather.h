// Numbers and structs of plain bytes that each rank has some of.
#pragma once

#include <cstring>
#include <type_traits>
#include <vector>

#include "engine/parallel/comm.h"

namespace fp {

// Those of each rank, by rank; each may have another number of them.
template <class T>
std::vector<std::vector<T>> gather_each(const Comm& ranks, const std::vector<T>& mine) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<std::vector<T>> out;
    for (const std::string& bytes :
         ranks.gather({reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(T)})) {
        std::vector<T>& of_rank = out.emplace_back(bytes.size() / sizeof(T));
        if (!bytes.empty()) std::memcpy(of_rank.data(), bytes.data(), bytes.size());
    }
    return out;
}

// Those of each rank, by rank, where each has as many: one exchange, whatever their number.
template <class T>
std::vector<std::vector<T>> gather_as_many(const Comm& ranks, const std::vector<T>& mine) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<std::vector<T>> out(size_t(ranks.ranks()), mine);
    if (mine.empty()) return out;
    const size_t bytes = mine.size() * sizeof(T);
    const std::vector<char> all = ranks.gather_bytes(mine.data(), bytes);
    for (size_t r = 0; r < out.size(); ++r) std::memcpy(out[r].data(), all.data() + r * bytes, bytes);
    return out;
}

// Those of all ranks, one after another in rank order.
template <class T>
std::vector<T> gather_all(const Comm& ranks, const std::vector<T>& mine) {
    if (ranks.alone()) return mine;
    std::vector<T> out;
    for (const std::vector<T>& of_rank : gather_each(ranks, mine))
        out.insert(out.end(), of_rank.begin(), of_rank.end());
    return out;
}

}  // namespace fp
