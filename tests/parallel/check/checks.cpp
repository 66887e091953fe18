#include "tests/parallel/check/checks.h"

#include <cstring>

#include "kernels/error.h"
#include "kernels/random.h"

namespace fp::testing {
namespace {

constexpr float kScales[] = {1, 10, 100};

// Numbers of a rank whose sums depend on their order.
float value_of(int rank, size_t i) {
    return float(mix(i + 7919 * uint64_t(rank)) % 100'000) * kScales[rank % 3] + 0.1f;
}

void check_reduce(const Comm& comm, const Kernels& k, int64_t count) {
    std::vector<float> values;
    for (size_t i = 0; i < size_t(count); ++i) values.push_back(value_of(comm.rank(), i));
    std::vector<char> scratch(comm.reduce_bytes(k, count));
    const int64_t before = comm.bytes_sent();
    comm.reduce(k, reinterpret_cast<par*>(values.data()), count, scratch.data(), {});
    for (size_t i = 0; i < size_t(count); ++i) {
        float sum = value_of(0, i);
        for (int r = 1; r < comm.ranks(); ++r) sum += value_of(r, i);
        FP_CHECK(values[i] == sum, "reduce of ", count, ": number ", i, " is ", values[i], ", not ", sum);
    }
    const int64_t n = comm.ranks(), padded = (count + n - 1) / n * n;
    FP_CHECK(comm.bytes_sent() - before == 2 * (n - 1) * padded * 4 / n, "reduce of ", count, " has sent ",
             comm.bytes_sent() - before, " bytes");
}

void check_values(const Comm& comm) {
    const auto n = size_t(comm.ranks());
    const auto all = comm.gather(std::string(size_t(comm.rank()) * 3000, char('a' + comm.rank() % 26)));
    FP_CHECK(all.size() == n, "gather: ", all.size(), " values");
    for (size_t r = 0; r < n; ++r) FP_CHECK(all[r] == std::string(r * 3000, char('a' + r % 26)), "gather: value ", r);
    const double large = 9007199254740992;  // 2^53, beside which 1 is lost
    const double sum = comm.sum({comm.rank() == 0 ? large : 1})[0];
    FP_CHECK(sum == large, "sum in another order: ", sum);
    FP_CHECK(comm.any(comm.rank() == comm.ranks() - 1) && !comm.any(false), "any");
    FP_CHECK(comm.from_first(text("rank ", comm.rank())) == "rank 0", "from_first");
}

void check_memory(const Comm& comm, const Kernels& k, size_t bytes) {
    std::vector<char> mine(bytes), all(bytes * size_t(comm.ranks()), char(-1));
    const auto byte_of = [](int rank, size_t i) { return char(mix(i / 8 + 31 * uint64_t(rank)) >> (8 * (i % 8))); };
    for (size_t i = 0; i < bytes; ++i) mine[i] = byte_of(comm.rank(), i);
    comm.gather(k, mine.data(), all.data(), bytes, {});
    for (int r = 0; r < comm.ranks(); ++r)
        for (size_t i = 0; i < bytes; ++i)
            FP_CHECK(all[size_t(r) * bytes + i] == byte_of(r, i), "gather of ", bytes, " bytes: byte ", i, " of rank ",
                     r);
    std::string first(comm.first() ? bytes : 0, '\0');
    for (size_t i = 0; i < first.size(); ++i) first[i] = byte_of(0, i);
    first = comm.from_first(first);
    FP_CHECK(first.size() == bytes, "from_first of ", bytes, " bytes: ", first.size());
    for (size_t i = 0; i < bytes; ++i) FP_CHECK(first[i] == byte_of(0, i), "from_first of ", bytes, " bytes: byte ", i);
}

}  // namespace

void check_collectives(const Comm& comm, size_t large_bytes) {
    const Kernels& k = kernels(Backend::cpu);
    check_values(comm);
    for (const int64_t count : {1, 2, 3, 5, 12, 1000, 70'001}) check_reduce(comm, k, count);
    check_reduce(comm, k, int64_t(large_bytes / 4) + 1);
    for (const size_t bytes : {size_t(1), size_t(7), size_t(4096), large_bytes}) check_memory(comm, k, bytes);
    for (int i = 0; i < 100; ++i) comm.wait_for_all();
}

}  // namespace fp::testing
