// Scores, statistics and rounds of several ranks: those of one, bit for bit.
#include <gmock/gmock.h>

#include <atomic>
#include <bit>

#include "engine/eval/channel_shards.h"
#include "engine/prune/loop.h"
#include "engine/prune/score.h"
#include "engine/train/recalibrate.h"
#include "tests/kernels_with.h"
#include "tests/network_values.h"
#include "tests/parallel/thread_ranks.h"
#include "tests/synth_images.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

using namespace fp::testing;
using ::testing::Each;
using ::testing::HasSubstr;

constexpr int kSize = 16;
const ModelSpec kNet{.arch = "resnet18", .classes = 3, .stem = "small", .width = 0.25};

// 60 generated images, 36 of them in train; `bad` cannot be read.
ImageData images_with(const std::vector<int64_t>& bad = {}) {
    ImageData data = synth_images("synth:n=60,size=16,classes=3,groups=2,bias=0.5", kSize);
    data.unreadable = std::make_shared<UnreadableImages>();
    data.source = [bad, unreadable = data.unreadable, read = data.source](int64_t sample, const View& view, int side,
                                                                          uint8_t* rgb) {
        if (std::ranges::count(bad, sample) > 0) {
            unreadable->add(sample, "torn off");
            fail_with(Exit::data, "image ", sample, ": torn off");
        }
        read(sample, view, side, rgb);
    };
    return data;
}

// Everything but how long it took.
struct Bits {
    std::vector<uint64_t> values;
    std::string words;
    bool operator==(const Bits&) const = default;

    void add(const std::vector<double>& some) {
        for (const double v : some) values.push_back(std::bit_cast<uint64_t>(v));
    }
};

Bits bits_of(const ChannelScores& scores) {
    Bits out{.values = {}, .words = scores.note};
    for (const LayerScores& r : scores.layers) {
        out.words += text(" ", r.layer, r.tap, r.attribute, r.reason, r.samples, ".", r.blocks, r.normalized_by);
        out.add({r.chance});
        out.add(r.score);
        out.add(r.normalized);
        if (r.null)
            for (const auto* array : {&r.null->mean, &r.null->sd, &r.null->z, &r.null->p}) out.add(*array);
    }
    for (const auto& [name, values] : scores.sets) {
        out.words += " " + name;
        out.add(values);
    }
    return out;
}

Bits scored(ScoreOptions options, const Comm* ranks, const std::vector<int64_t>& bad = {}) {
    const ImageData data = images_with(bad);
    const auto net = random_network(kNet, kernels(Backend::cpu), 5);
    Session session(*net);
    options.predict.ranks = ranks;
    options.predict.workers = 1;
    options.samples = 0;
    options.predict.batch_size = 8;  // 5 batches of 36 images
    return bits_of(score_channels(session, {.image_size = kSize}, data, trace(*net, kSize).nodes, options));
}

void expect_the_bits_of_one(const char* what, const ScoreOptions& options, const std::vector<int64_t>& bad = {}) {
    const Bits one = scored(options, nullptr, bad);
    ASSERT_GT(one.values.size(), 100u) << what;
    for (const int ranks : {2, 3}) {
        std::vector<Bits> all((size_t(ranks)));
        run_ranks(ranks, [&](const Comm& comm) { all[size_t(comm.rank())] = scored(options, &comm, bad); });
        for (const Bits& bits : all) {
            EXPECT_EQ(bits.words, one.words) << what;
            EXPECT_TRUE(bits.values == one.values) << what << " over " << ranks << " ranks";
        }
    }
}

ScoreOptions snnl_of(const SnnlOptions& snnl) {
    return {.criterion = "snnl", .attributes = {{"group", 1}}, .snnl = snnl, .layers = "all"};
}

TEST(RanksScores, SnnlInAllItsVariants) {
    using Definition = SnnlShape::Definition;
    using Distance = SnnlShape::Distance;
    expect_the_bits_of_one("exact", snnl_of({}));
    expect_the_bits_of_one("as released", snnl_of({.definition = Definition::as_released}));
    expect_the_bits_of_one("euclidean, centred", snnl_of({.distance = Distance::euclidean, .centred = true}));
    expect_the_bits_of_one("given class, permuted", snnl_of({.given_class = true, .permutations = 3}));
    ScoreOptions options = snnl_of({.temperature = 0.1});
    options.protect = 0.5;
    options.batches = 12;
    options.tap = Tap::activation;
    expect_the_bits_of_one("blocks, protected class", options);
    options.budget_bytes = 1;
    options.batches = {};
    options.layers = "last";
    expect_the_bits_of_one("a layer a pass", options);
}

TEST(RanksScores, CriteriaOfMapsAndGradients) {
    expect_the_bits_of_one("skewness", {.criterion = "skewness", .layers = "layer?.0.conv1"});
    expect_the_bits_of_one("taylor", {.criterion = "taylor", .layers = "all"});
    for (const char* name : {"fairprune", "fairgrape"})
        expect_the_bits_of_one(name, {.criterion = name, .attributes = {{"group", 1}}, .layers = "all"});
    expect_the_bits_of_one("masks", {.criterion = "masks", .layers = "layer4*", .masks = {.epochs = 1}});
    expect_the_bits_of_one("l1", {.criterion = "l1", .layers = "all"});
}

TEST(RanksScores, WithoutTheImagesThatCannotBeRead) {
    const std::vector<int64_t> train = members(images_with().set, Split::train);
    const std::vector<int64_t> bad{train[0], train[20], train[21]};  // of the first rank and of a later one
    for (const char* name : {"snnl", "taylor", "fairprune", "masks"}) {
        ScoreOptions options{
            .criterion = name, .attributes = {{"group", 1}}, .layers = "layer*", .masks = {.epochs = 2}};
        options.predict.skip_bad = true;
        expect_the_bits_of_one(name, options, bad);
    }
}

TEST(RanksScores, WhatOneRankCannotReadEndsAll) {
    const int64_t last = members(images_with().set, Split::train).back();
    for (const char* name : {"snnl", "skewness", "taylor", "masks"})
        run_ranks(3, [&](const Comm& comm) {
            std::string said;
            try {
                scored({.criterion = name, .attributes = {{"group", 1}}, .layers = "layer1*"}, &comm, {last});
            } catch (const Error& error) {
                EXPECT_EQ(error.exit, Exit::data);
                said = error.what();
            }
            EXPECT_THAT(comm.gather(said), Each(HasSubstr(text("image ", last, ": torn off")))) << name;
        });
}

TEST(RanksScores, ARankWhoseOwnScoringFailsEndsAll) {
    run_ranks(2, [&](const Comm& comm) {
        ScoreOptions options = snnl_of({});
        int64_t asked = 0;
        options.progress = [&](int64_t, int64_t) {
            if (comm.rank() == 1 && ++asked == 2) fail_with(Exit::device, "the device has gone");
        };
        EXPECT_THROW(scored(options, &comm), Error);
        EXPECT_FALSE(comm.any(false));
    });
}

// A rank sends its samples' maps of each other rank's channels, then its scores.
TEST(RanksScores, VolumeIsOfOneExchangePerLayer) {
    constexpr int kRanks = 3;
    const auto net = random_network(kNet, kernels(Backend::cpu), 5);
    const Kernels& k = net->kernels();
    int64_t exchanged = 0, layers = 0;
    for (const Node& row : trace(*net, kSize).nodes) {
        if (!std::holds_alternative<ConvShape>(row.op) || row.layer.find("conv") == row.layer.npos) continue;
        int64_t widest = 0;
        for (int r = 0; r < kRanks; ++r) {
            Map whole = row.value.map;
            whole.block = k.block(whole.c);
            widest = std::max(widest, shard_of(k, whole, r, kRanks).stored());
        }
        exchanged += (kRanks - 1) * 16 * widest * 4;  // 16 samples: 2 of the 5 batches of 8
        ++layers;
    }
    std::vector<int64_t> sent(kRanks);
    run_ranks(kRanks, [&](const Comm& comm) {
        scored({.criterion = "snnl", .attributes = {{"group", 1}}, .layers = "*conv*"}, &comm);
        sent[size_t(comm.rank())] = comm.bytes_sent();
        EXPECT_GE(comm.bytes_sent(), exchanged);
        // Of a layer two arrays of at most 128 numbers, and words; of the pass the 36 samples' numbers.
        EXPECT_LE(comm.bytes_sent(), exchanged + (kRanks - 1) * (layers * (2 * 128 * 8 + 200) + 1000));
    });
    RecordProperty("exchanged", std::to_string(exchanged));
    RecordProperty("sent_by_rank_0", std::to_string(sent[0]));
}

TEST(RanksRecalibrate, EveryRankHasTheStatisticsOfOne) {
    const auto hash = [](const Comm* ranks) {
        const auto net = random_network(kNet, kernels(Backend::cpu), 5);
        const ImageData data = images_with();
        const int64_t batches = recalibrate_norms(*net, {.image_size = kSize}, data, members(data.set, Split::train),
                                                  {.batch_size = 8, .workers = 1, .ranks = ranks});
        EXPECT_EQ(batches, 4);
        return weights_hash(*net);
    };
    const std::string one = hash(nullptr);
    run_ranks(3, [&](const Comm& comm) { EXPECT_EQ(hash(&comm), one); });
}

// What ranks keep of a batch is copied to the host; one process alone takes each batch in where it is.
TEST(RanksRecalibrate, OneProcessKeepsNoBatch) {
    static std::atomic<int> copies;
    Memory memory = kernels(Backend::cpu).memory;
    memory.copy_out = [](void* to, const void* from, size_t bytes, Stream s) {
        ++copies;
        kernels(Backend::cpu).memory.copy_out(to, from, bytes, s);
    };
    const Kernels& own = kernels(Backend::cpu);
    const Kernels counting =
        kernels_with(own, {.memory = memory, .streams = own.streams, .graph = own.graph, .conv = own.conv});
    const auto copies_of = [&](const Comm* ranks) {
        const auto net = random_network(kNet, counting, 5);
        const ImageData data = images_with();
        const int before = copies;
        recalibrate_norms(*net, {.image_size = kSize}, data, members(data.set, Split::train),
                          {.batch_size = 8, .workers = 1, .ranks = ranks});
        return copies - before;
    };
    EXPECT_EQ(copies_of(nullptr), 0);
    const int before = copies;
    run_ranks(2, [&](const Comm& comm) { copies_of(&comm); });
    EXPECT_EQ(copies - before, 4);
}

// Rounds without fine-tuning, in one folder.
TEST(RanksPrune, EveryRankKeepsTheModelOfOne) {
    const TemporaryFolder folder;
    const auto best = [&](const Comm& ranks, const std::string& name) {
        const ImageData data = images_with();
        const LoadedModel dense{.network = random_network(kNet, kernels(Backend::cpu), 5),
                                .card = {.preprocessing = {.image_size = kSize}, .classes = data.set.classes}};
        PruneSettings settings{.attributes = {"group"},
                               .choose = {.amount = std::string("20%")},
                               .recalibrate = 2,
                               .verify = true,
                               .iterations = 2,
                               .max_drop = 1,
                               .tune = {.epochs = 0, .workers = 1},
                               .batch_size = 8};
        RunFolder own(folder / name, IfRunIsThere::refuse, {}, ranks);
        const auto result = prune(Baseline(dense, data, settings), settings, own);
        return weights_hash(*result->best.network) + to_text(result->kept().objective);
    };
    const std::string one = best({}, "one");
    run_ranks(2, [&](const Comm& comm) { EXPECT_EQ(best(comm, "two"), one); });
}

}  // namespace
}  // namespace fp
