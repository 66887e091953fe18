// Predictions and features of several ranks: those of one, bit for bit.
#include <gmock/gmock.h>

#include <bit>
#include <mutex>

#include "engine/eval/channel_shards.h"
#include "engine/eval/features.h"
#include "tests/expect_error.h"
#include "tests/network_values.h"
#include "tests/parallel/thread_ranks.h"
#include "tests/synth_images.h"

namespace fp {
namespace {

using namespace fp::testing;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kSize = 16;
const ModelSpec kNet{.arch = "resnet18", .classes = 3, .stem = "small", .width = 0.25};

// 37 generated images, of which some cannot be read.
ImageData images_with(const std::vector<int64_t>& bad) {
    ImageData data = synth_images("synth:n=37,size=16,classes=3", kSize);
    const auto unreadable = std::make_shared<UnreadableImages>();
    data.unreadable = unreadable;
    data.source = [bad, unreadable, read = data.source](int64_t sample, const View& view, int side, uint8_t* rgb) {
        if (std::ranges::count(bad, sample) > 0) {
            unreadable->add(sample, text("image ", sample, ": torn off"));
            fail_with(Exit::data, "image ", sample, ": torn off");
        }
        read(sample, view, side, rgb);
    };
    return data;
}

std::vector<int64_t> all_of(const ImageData& data) {
    std::vector<int64_t> out(data.set.samples.size());
    for (size_t i = 0; i < out.size(); ++i) out[i] = int64_t(i);
    return out;
}

struct Predicted {
    std::vector<std::string> image;
    std::vector<uint64_t> bits;  // of probabilities and losses
    std::map<int64_t, std::string> unreadable;
    bool operator==(const Predicted&) const = default;
};

Predicted predicted(const ImageData& data,
                    const std::vector<int64_t>& samples,
                    const PredictOptions& options,
                    Backend backend = Backend::cpu) {
    const auto net = random_network(kNet, kernels(backend), 3);
    Session session(*net);
    const Predictions p = predict({session, {.image_size = kSize}, data, samples, options});
    Predicted out{.image = p.image, .bits = {}, .unreadable = data.unreadable->reasons()};
    for (const auto* values : {&p.prob, &p.loss})
        for (const double v : *values) out.bits.push_back(std::bit_cast<uint64_t>(v));
    return out;
}

// What each rank gets, by rank. Every rank opens the images anew, as a process does.
std::vector<Predicted> predicted_by(int ranks, PredictOptions options, const std::vector<int64_t>& bad = {}) {
    std::vector<Predicted> out((size_t(ranks)));
    run_ranks(ranks, [&](const Comm& comm) {
        const ImageData data = images_with(bad);
        PredictOptions own = options;
        own.ranks = &comm;
        out[size_t(comm.rank())] = predicted(data, all_of(data), own);
    });
    return out;
}

TEST(RanksPredict, EachImageIsCountedOnceWithTheBitsOfOneRank) {
    const ImageData data = images_with({});
    for (const int batch_size : {4, 16, 37}) {  // 10 batches, 3, and 1: ranks without any
        const PredictOptions options{.batch_size = batch_size, .workers = 1};
        const Predicted one = predicted(data, all_of(data), options);
        ASSERT_EQ(one.image.size(), 37u);
        for (const int ranks : {2, 3, 4})
            EXPECT_THAT(predicted_by(ranks, options), Each(one)) << ranks << " ranks, batches of " << batch_size;
    }
}

TEST(RanksPredict, FewerImagesThanRanks) {
    const ImageData data = images_with({});
    const Predicted one = predicted(data, {5, 3}, {.batch_size = 1, .workers = 1});
    std::vector<Predicted> out(3);
    run_ranks(3, [&](const Comm& comm) {
        const ImageData own = images_with({});
        out[size_t(comm.rank())] = predicted(own, {5, 3}, {.batch_size = 1, .workers = 1, .ranks = &comm});
    });
    EXPECT_THAT(out, Each(one));
    EXPECT_THAT(one.image, ElementsAre(data.set.samples[5].image, data.set.samples[3].image));
}

TEST(RanksPredict, EveryRankKnowsTheImagesThatOneOfThemSkipped) {
    const std::vector<int64_t> bad{2, 30, 36};
    const PredictOptions options{.batch_size = 4, .workers = 1, .skip_bad = true};
    const ImageData data = images_with(bad);
    const Predicted one = predicted(data, all_of(data), options);
    ASSERT_EQ(one.image.size(), 34u);
    ASSERT_EQ(one.unreadable.size(), 3u);
    for (const int ranks : {2, 3}) EXPECT_THAT(predicted_by(ranks, options, bad), Each(one));
}

TEST(RanksPredict, WhatOneRankCannotReadEndsAll) {
    std::mutex mutex;
    std::vector<std::string> said;
    run_ranks(3, [&](const Comm& comm) {
        const ImageData data = images_with({20, 36});  // of the second and the third rank
        try {
            predicted(data, all_of(data), {.batch_size = 4, .workers = 1, .ranks = &comm});
        } catch (const Error& error) {
            EXPECT_EQ(error.exit, Exit::data);
            const std::lock_guard lock(mutex);
            said.push_back(error.what());
        }
        EXPECT_EQ(comm.gather("still together").size(), 3u);
    });
    EXPECT_EQ(said.size(), 3u);
    EXPECT_THAT(said, Each(HasSubstr("image 20: torn off")));
}

TEST(RanksPredict, ASampleThatIsThereTwiceIsRefused) {
    const ImageData data = images_with({});
    expect_error(
        Exit::bug,
        [&] {
            predicted(data, {7, 1, 7}, {.batch_size = 2, .workers = 1});
        },
        "sample 7", "twice");
}

TEST(RanksPredict, ProgressEndsAtAllImagesOnEveryRankWithWork) {
    run_ranks(2, [&](const Comm& comm) {
        const ImageData data = images_with({});
        int64_t last = 0;
        const Steps progress = [&](int64_t done, int64_t all) {
            EXPECT_EQ(all, 37);
            EXPECT_GT(done, last);
            last = done;
        };
        predicted(data, all_of(data), {.batch_size = 8, .workers = 1, .progress = progress, .ranks = &comm});
        EXPECT_EQ(last, 37);
    });
}

// ---- Features

struct Layer {
    std::string name;
    Map map;
    std::vector<double> values;  // n, c, h, w
    std::vector<int64_t> samples;
};

std::vector<Layer> features_of(const PredictOptions& options, Backend backend, size_t budget) {
    const ImageData data = images_with({9});
    const auto net = random_network(kNet, kernels(backend), 3);
    Session session(*net);
    const Preprocessing preprocessing{.image_size = kSize};
    const std::vector<int64_t> samples = all_of(data);
    std::vector<Layer> out;
    for_each_layer({session, preprocessing, data, samples, options}, {"conv1", "layer2.0.conv1", "layer4.1.conv2"},
                   Tap::activation, budget, [&](Features& f) {
                       out.push_back({f.layer, f.map, download(net->kernels(), {f.data.as<act>(), f.map}), f.samples});
                       EXPECT_GE(std::max(f.of_channels, f.map.c), f.map.c);
                   });
    return out;
}

// A rank's channels, from `first` on, are those of `whole`.
void expect_channels(const Layer& whole, const Layer& part, int first) {
    ASSERT_EQ(part.name, whole.name);
    EXPECT_EQ(part.samples, whole.samples);
    ASSERT_EQ(part.map.n, whole.map.n);
    const int64_t pixels = whole.map.pixels();
    for (int n = 0; n < whole.map.n; ++n)
        for (int c = 0; c < part.map.c; ++c)
            for (int64_t i = 0; i < pixels; ++i)
                ASSERT_EQ(part.values[size_t((n * part.map.c + c) * pixels + i)],
                          whole.values[size_t((n * whole.map.c + first + c) * pixels + i)])
                    << whole.name << " image " << n << " channel " << first + c;
}

TEST(RanksFeatures, EveryChannelIsOnOneRankWithTheBitsOfOneRank) {
    for (const Backend backend : {Backend::cpu, Backend::reference})
        for (const size_t budget : {size_t(1), size_t(1) << 30}) {  // a layer a pass, and all in one
            const PredictOptions options{.batch_size = 4, .workers = 1, .skip_bad = true};
            const std::vector<Layer> whole = features_of(options, backend, budget);
            ASSERT_EQ(whole.size(), 3u);
            ASSERT_EQ(whole[0].samples.size(), 36u);
            for (const int ranks : {2, 3, 4}) {
                std::vector<std::vector<Layer>> parts((size_t(ranks)));
                run_ranks(ranks, [&](const Comm& comm) {
                    PredictOptions own = options;
                    own.ranks = &comm;
                    parts[size_t(comm.rank())] = features_of(own, backend, budget);
                });
                for (size_t l = 0; l < whole.size(); ++l) {
                    int first = 0;
                    for (const auto& part : parts) {
                        ASSERT_EQ(part.size(), whole.size());
                        expect_channels(whole[l], part[l], first);
                        first += part[l].map.c;
                    }
                    EXPECT_EQ(first, whole[l].map.c);
                }
            }
        }
}

// The layout of CUDA: one block of all channels, rounded up to 8.
TEST(ChannelShards, AreWholeBlocksAlsoWhereABlockHoldsAllChannels) {
    Kernels nhwc = kernels(Backend::reference);
    nhwc.block = [](int channels) { return int(round_up(channels, 8)); };
    const Map one{.n = 1, .c = 21, .h = 2, .w = 3, .block = nhwc.block(21)};
    const auto value = [](int64_t sample, int c, int64_t pixel) { return double(sample * 1000 + c * 10 + pixel); };
    const std::vector<int64_t> samples{2, 0, 3};
    run_ranks(3, [&](const Comm& comm) {
        Map mine = one;
        mine.n = int(samples[size_t(comm.rank())]);
        const int64_t first = comm.rank() == 2 ? 2 : 0;
        Buffer data(nhwc.memory, std::max<size_t>(size_t(mine.stored()) * 4, 1));
        for (int n = 0; n < mine.n; ++n)
            for (int64_t i = 0; i < one.stored(); ++i) {
                const int c = int(i % one.block);
                data.as<float>()[n * one.stored() + i] = c < one.c ? float(value(first + n, c, i / one.block)) : 0.0f;
            }
        const Buffer out = to_channel_shards(comm, nhwc, mine, data, samples);
        const Map shard = shard_of(nhwc, {.n = 5, .c = 21, .h = 2, .w = 3, .block = one.block}, comm.rank(), 3);
        EXPECT_EQ(shard.c, comm.rank() == 2 ? 5 : 8);
        EXPECT_EQ(shard.block, 8);
        for (int n = 0; n < 5; ++n)
            for (int c = 0; c < shard.block; ++c)
                for (int64_t pixel = 0; pixel < 6; ++pixel) {
                    const double want = c < shard.c ? value(n, comm.rank() * 8 + c, pixel) : 0;
                    EXPECT_EQ(out.as<float>()[(n * 6 + pixel) * 8 + c], want) << n << " " << c << " " << pixel;
                }
        // most(samples) = 3 maps of 8 channels and 6 pixels in float32, to each of 2 ranks
        EXPECT_EQ(comm.bytes_sent(), 2 * 3 * 8 * 6 * 4);
    });
}

}  // namespace
}  // namespace fp
