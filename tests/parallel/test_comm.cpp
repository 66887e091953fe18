#include <atomic>
#include <cmath>

#include "kernels/random.h"
#include "tests/expect_error.h"
#include "tests/parallel/thread_ranks.h"

namespace fp::testing {
namespace {

const Kernels& cpu() { return kernels(Backend::cpu); }

// The host's kernels on memory that they say is a device's, so that it goes through staging.
const Kernels& as_device() {
    static const Memory memory = [] {
        Memory m = cpu().memory;
        m.is_host = false;
        return m;
    }();
    static const Kernels table{.name = "device",
                               .activation = cpu().activation,
                               .parameter = cpu().parameter,
                               .block = cpu().block,
                               .image_block = cpu().image_block,
                               .filter = cpu().filter,
                               .memory = memory,
                               .streams = cpu().streams,
                               .conv = cpu().conv,
                               .linear = cpu().linear,
                               .batchnorm = cpu().batchnorm,
                               .relu = cpu().relu,
                               .add = cpu().add,
                               .maxpool = cpu().maxpool,
                               .avgpool = cpu().avgpool,
                               .dropout = cpu().dropout,
                               .loss = cpu().loss,
                               .image = cpu().image,
                               .optimizer = cpu().optimizer,
                               .snnl = cpu().snnl};
    return table;
}

constexpr float kScales[] = {1, 10, 100};

// Numbers of a rank whose sums depend on their order.
std::vector<float> values_of(int rank, int64_t count) {
    std::vector<float> v(size_t(count), 0.0f);
    for (size_t i = 0; i < v.size(); ++i)
        v[i] = float(mix(i + 7919 * uint64_t(rank)) % 100'000) * kScales[rank % 3] + 0.1f;
    return v;
}

std::vector<float> summed(int ranks, int64_t count) {
    std::vector<float> sums = values_of(0, count);
    for (int r = 1; r < ranks; ++r) {
        const auto v = values_of(r, count);
        for (size_t i = 0; i < sums.size(); ++i) sums[i] += v[i];
    }
    return sums;
}

void expect_reduce(const Kernels& k, const Comm& comm, int64_t count) {
    SCOPED_TRACE(text(count, " numbers, ", comm.ranks(), " ranks, ", k.name));
    auto values = values_of(comm.rank(), count);
    values.push_back(-1);  // behind the end
    std::vector<std::byte> scratch(comm.reduce_bytes(k, count) + 1, std::byte{0xFF});
    const int64_t before = comm.bytes_sent();
    comm.reduce(k, reinterpret_cast<par*>(values.data()), count, scratch.data(), {});
    EXPECT_EQ(values.back(), -1);
    EXPECT_EQ(scratch.back(), std::byte{0xFF});
    values.pop_back();
    EXPECT_EQ(values, summed(comm.ranks(), count));
    // 2 (N - 1) / N of the bytes, with the count rounded up to a multiple of N.
    const int64_t n = comm.ranks(), padded = (count + n - 1) / n * n;
    EXPECT_EQ(comm.bytes_sent() - before, 2 * (n - 1) * padded * 4 / n);
}

TEST(Comm, ReducesInRankOrder) {
    for (const int ranks : {1, 2, 3, 4, 7})
        run_ranks(ranks, [](const Comm& comm) {
            for (const int64_t count : {0, 1, 2, 3, 5, 12, 1000, 70'001}) {
                expect_reduce(cpu(), comm, count);
                expect_reduce(as_device(), comm, count);
            }
        });
}

TEST(Comm, ReducesInDoubleWhereParametersAreDouble) {
    const Kernels& k = kernels(Backend::reference_f64);
    run_ranks(3, [&](const Comm& comm) {
        std::vector<double> v{1.0 / (comm.rank() + 1), 1e300};
        std::vector<std::byte> scratch(comm.reduce_bytes(k, 2));
        comm.reduce(k, reinterpret_cast<par*>(v.data()), 2, scratch.data(), {});
        EXPECT_EQ(v, (std::vector<double>{(1.0 + 1.0 / 2) + 1.0 / 3, 1e300 + 1e300 + 1e300}));
    });
}

TEST(Comm, GathersMemory) {
    for (const Kernels* k : {&cpu(), &as_device()})
        run_ranks(3, [&](const Comm& comm) {
            const char mine[2] = {char('a' + comm.rank()), '.'};
            char all[7] = "......";
            comm.gather(*k, mine, all, 2, {});
            EXPECT_STREQ(all, "a.b.c.");
            comm.gather(*k, mine, all, 0, {});
            EXPECT_STREQ(all, "a.b.c.");
        });
}

// A host's library that must not be asked.
Collectives refused() {
    return {.name = "refused",
            .all_to_all = [](void*, const void*, void*, size_t, Stream) { fail("all_to_all of the host's memory"); },
            .all_gather = [](void*, const void*, void*, size_t, Stream) { fail("all_gather of the host's memory"); },
            .broadcast = [](void*, void*, size_t, int, Stream) { fail("broadcast of the host's memory"); }};
}

TEST(Comm, TheDevicesLibraryMovesTheDevicesMemory) {
    const int ranks = 3;
    ThreadRoom of_devices(ranks, 60);
    run_ranks(ranks, [&](const Comm& hosts) {
        ThreadRank me{of_devices, hosts.rank()};
        const Comm devices(hosts.numbered(), refused(), me.collectives());
        for (const int64_t count : {1, 12, 1000}) expect_reduce(as_device(), devices, count);
        const float mine = float(hosts.rank());
        float all[ranks] = {-1, -1, -1};
        devices.gather(as_device(), &mine, all, sizeof mine, {});
        EXPECT_THAT(all, ::testing::ElementsAre(0, 1, 2));
        EXPECT_THROW(devices.wait_for_all(), Error);  // the host's values go by the host's library
        EXPECT_THROW(devices.gather(cpu(), &mine, all, sizeof mine, {}), Error);
    });
}

TEST(Comm, GathersValuesOfAnyLength) {
    run_ranks(4, [](const Comm& comm) {
        const auto all = comm.gather(std::string(size_t(comm.rank()) * 1000, char('0' + comm.rank())));
        ASSERT_EQ(all.size(), 4u);
        for (size_t r = 0; r < 4; ++r) EXPECT_EQ(all[r], std::string(r * 1000, char('0' + r)));
        EXPECT_EQ(comm.gather(""), (std::vector<std::string>(4)));
        for (const size_t length : {247, 248, 249, 500}) {  // about what goes in one exchange
            const auto each = comm.gather(std::string(comm.rank() == 2 ? length : 3, char('0' + comm.rank())));
            for (size_t r = 0; r < 4; ++r) EXPECT_EQ(each[r], std::string(r == 2 ? length : 3, char('0' + r)));
        }
        EXPECT_EQ(comm.gather(std::string("a\0b", 3))[2], std::string("a\0b", 3));
        EXPECT_EQ(comm.from_first("from rank " + std::to_string(comm.rank())), "from rank 0");
        EXPECT_EQ(comm.from_first(comm.first() ? "" : "not empty"), "");
    });
}

TEST(Comm, SumsInRankOrder) {
    run_ranks(3, [](const Comm& comm) {
        const double large = 9007199254740992;  // 2^53, beside which 1 is lost
        const std::vector<double> mine[] = {{large, 1}, {1, 1}, {1, large}};
        EXPECT_EQ(comm.sum(mine[comm.rank()]), (std::vector<double>{large, large + 2}));
        EXPECT_EQ(comm.sum({}), std::vector<double>());
        EXPECT_TRUE(std::isnan(comm.sum({comm.rank() == 1 ? std::nan("") : 0})[0]));
        EXPECT_TRUE(comm.any(comm.rank() == 2));
        EXPECT_FALSE(comm.any(false));
    });
}

TEST(Comm, AloneNeedsNoLibrary) {
    const Comm& comm = world();
    EXPECT_TRUE(comm.alone());
    EXPECT_TRUE(comm.first());
    EXPECT_EQ(comm.gather("a"), std::vector<std::string>{"a"});
    EXPECT_EQ(comm.sum({1, 2}), (std::vector<double>{1, 2}));
    EXPECT_EQ(comm.from_first("a"), "a");
    EXPECT_TRUE(comm.any(true));
    comm.wait_for_all();
    comm.abort();
    float value = 3, copy = 0;
    EXPECT_EQ(comm.reduce_bytes(cpu(), 1), 0u);
    comm.reduce(cpu(), reinterpret_cast<par*>(&value), 1, nullptr, {});
    comm.gather(cpu(), &value, &copy, sizeof value, {});
    EXPECT_EQ(value, 3);
    EXPECT_EQ(copy, 3);
    EXPECT_EQ(comm.bytes_sent(), 0);
    EXPECT_EQ(name(comm.numbered()), "");
}

TEST(Comm, NamesARank) {
    EXPECT_EQ(name(Ranks{.rank = 1, .ranks = 4, .host = "node7"}), "rank 1 of 4 on node7");
    EXPECT_EQ(name(Ranks{.rank = 0, .ranks = 2}), "rank 0 of 2");
}

TEST(Comm, SharesAreNeighboursOfNearlyOneSize) {
    for (const int64_t count : {0, 1, 5, 37, 1000})
        for (const int ranks : {1, 2, 3, 8}) {
            int64_t end = 0;
            for (int r = 0; r < ranks; ++r) {
                const Share share = share_of(count, r, ranks);
                EXPECT_EQ(share.begin, end);
                EXPECT_TRUE(share.size() == count / ranks || share.size() == (count + ranks - 1) / ranks);
                end = share.end;
            }
            EXPECT_EQ(end, count);
        }
}

// ---- The ranks of other tests

TEST(ThreadRanks, AFailureEndsTheOthersAndIsThrown) {
    std::atomic<int> ended{0};
    const auto fails = [&](const Comm& comm) {
        if (comm.rank() == 1) throw Error("rank 1 has failed", Exit::data);
        try {
            comm.wait_for_all();
        } catch (const Error& error) {
            ++ended;
            EXPECT_EQ(error.exit, Exit::device);
            throw;
        }
    };
    expect_error(
        Exit::data, [&] { run_ranks(3, fails); }, "rank 1 has failed");
    EXPECT_EQ(ended, 2);
}

TEST(ThreadRanks, DifferentCallsAndLateRanksAreErrors) {
    expect_error(
        Exit::device,
        [] { run_ranks(2, [](const Comm& comm) {
                 comm.rank() == 0 ? comm.sum({1}) : comm.sum({1, 2});
             }); },
        "all_gather of 8", "all_gather of 16");
    expect_error(
        Exit::device,
        [] {
            run_ranks(
                2,
                [](const Comm& comm) {
                    if (comm.rank() == 0) comm.wait_for_all();
                },
                0.05);
        },
        "waited too long");
}

}  // namespace
}  // namespace fp::testing
