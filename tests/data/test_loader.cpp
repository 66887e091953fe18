#include "engine/data/loader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>
#include <set>
#include <thread>

#include "kernels/random.h"
#include "tests/expect_error.h"

namespace fp {
namespace {

// Noise by sample; slow now and then, so that workers overtake each other.
void noise(int64_t sample, const View& view, int side, uint8_t* rgb) {
    for (int i = 0; i < 3 * side * side; ++i) rgb[i] = uint8_t(philox(uint64_t(sample), uint64_t(i), view.key).word[0]);
    if (sample % 7 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

std::vector<int32_t> labels(int64_t n) {
    std::vector<int32_t> out(n);
    for (int64_t i = 0; i < n; ++i) out[i] = int32_t(i % 5);
    return out;
}

std::vector<int64_t> first(int64_t n) {
    std::vector<int64_t> out(n);
    std::iota(out.begin(), out.end(), int64_t(0));
    return out;
}

struct Copy {
    Batch batch;
    std::vector<uint8_t> rgb;
};

std::vector<Copy> rest(Loader& loader, int side) {
    std::vector<Copy> out;
    for (Batch batch; loader.next(batch);)
        out.push_back({batch, std::vector<uint8_t>(batch.rgb, batch.rgb + size_t(3) * side * side * batch.n)});
    return out;
}

void expect_equal(const std::vector<Copy>& a, const std::vector<Copy>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
        EXPECT_EQ(a[i].batch.number, b[i].batch.number);
        EXPECT_EQ(a[i].batch.samples, b[i].batch.samples);
        EXPECT_EQ(a[i].batch.labels, b[i].batch.labels);
        EXPECT_EQ(a[i].rgb, b[i].rgb);
    }
}

LoaderOptions training(int workers) {
    return {.batch_size = 12,
            .image_size = 9,
            .workers = workers,
            .augment = AugmentOptions{.crop = Crop::random, .shift = 2, .flip_across = 0.5, .flip_down = 0.5}};
}

TEST(Loader, SameBytesWhateverTheWorkers) {
    std::vector<int64_t> order = first(100);
    for (auto& sample : order) sample = sample * 37 % 100;
    Loader one(noise, labels(100), training(1));
    one.start(order, 5);
    const auto want = rest(one, 9);
    ASSERT_EQ(want.size(), 9u);
    for (int workers : {2, 5}) {
        Loader loader(noise, labels(100), training(workers));
        loader.start(order, 5);
        expect_equal(rest(loader, 9), want);
    }
}

TEST(Loader, DeliversTheOrderAndPadsTheLast) {
    Loader loader(noise, labels(10), {.batch_size = 4, .image_size = 3, .workers = 2});
    loader.start({3, 1, 4, 1, 5, 9, 2, 6, 5, 8}, 0);
    EXPECT_EQ(loader.batches(), 3);
    const auto got = rest(loader, 3);
    ASSERT_EQ(got.size(), 3u);
    EXPECT_EQ(got[0].batch.samples, (std::vector<int64_t>{3, 1, 4, 1}));
    EXPECT_EQ(got[1].batch.samples, (std::vector<int64_t>{5, 9, 2, 6}));
    EXPECT_EQ(got[2].batch.samples, (std::vector<int64_t>{5, 8, -1, -1}));
    EXPECT_EQ(got[2].batch.labels, (std::vector<int32_t>{0, 3, -1, -1}));
    EXPECT_EQ(got[2].batch.number, 2);
    std::vector<uint8_t> image(27);
    noise(8, {}, 3, image.data());
    EXPECT_TRUE(std::equal(image.begin(), image.end(), got[2].rgb.begin() + 27));
    EXPECT_EQ(std::vector<uint8_t>(got[2].rgb.begin() + 54, got[2].rgb.end()), std::vector<uint8_t>(54));
}

TEST(Loader, DropsTheLast) {
    Loader loader(noise, labels(10), {.batch_size = 4, .image_size = 3, .workers = 1, .drop_last = true});
    loader.start(first(10), 0);
    EXPECT_EQ(loader.batches(), 2);
    EXPECT_EQ(rest(loader, 3).size(), 2u);
    loader.start(first(8), 0);
    EXPECT_EQ(rest(loader, 3).size(), 2u);
    loader.start(first(3), 0);
    EXPECT_EQ(rest(loader, 3).size(), 0u);
}

TEST(Loader, ResumesInMidEpoch) {
    Loader loader(noise, labels(100), training(3));
    loader.start(first(100), 11);
    auto want = rest(loader, 9);
    want.erase(want.begin(), want.begin() + 4);
    loader.start(first(100), 11, 4);
    expect_equal(rest(loader, 9), want);
}

// Batches of ranks in turn are those of one loader, and each sample is read once.
TEST(Loader, RanksShareTheBatchesOfAnEpoch) {
    for (const int ranks : {1, 2, 3, 5})
        for (const int64_t first_batch : {0, 1, 4}) {
            Loader whole(noise, labels(100), training(2));
            whole.start(first(100), 7, first_batch);
            const std::vector<Copy> wanted = rest(whole, 9);
            std::vector<Copy> got(wanted.size());
            std::atomic<int> reads = 0;
            const auto counted = [&](int64_t sample, const View& view, int side, uint8_t* rgb) {
                ++reads;
                noise(sample, view, side, rgb);
            };
            for (int rank = 0; rank < ranks; ++rank) {
                LoaderOptions options = training(2);
                options.rank = rank;
                options.ranks = ranks;
                Loader loader(counted, labels(100), options);
                loader.start(first(100), 7, first_batch);
                EXPECT_EQ(loader.batches(), whole.batches());
                for (const Copy& copy : rest(loader, 9)) {
                    EXPECT_EQ(copy.batch.number % ranks, rank);
                    got.at(size_t(copy.batch.number - first_batch)) = copy;
                }
            }
            expect_equal(got, wanted);
            EXPECT_LE(reads, 100 - 12 * first_batch);
        }
}

TEST(Loader, StartsAnewInMidEpoch) {
    Loader fresh(noise, labels(100), training(2));
    fresh.start(first(100), 3);
    const auto want = rest(fresh, 9);
    Loader loader(noise, labels(100), training(3));
    Batch batch;
    for (int i = 0; i < 20; ++i) {
        loader.start(first(60), 2);
        for (int b = 0; b < i % 4; ++b) ASSERT_TRUE(loader.next(batch));
    }
    loader.start(first(100), 3);
    expect_equal(rest(loader, 9), want);
}

TEST(Loader, EpochsDifferAndRepeatsDiffer) {
    const LoaderOptions options = training(2);
    Loader loader(noise, labels(4), options);
    loader.start(std::vector<int64_t>(12, 3), 1);
    const auto epoch1 = rest(loader, 9);
    loader.start(std::vector<int64_t>(12, 3), 2);
    EXPECT_NE(rest(loader, 9)[0].rgb, epoch1[0].rgb);
    std::set<std::string> versions;
    for (int i = 0; i < 12; ++i)
        versions.emplace(epoch1[0].rgb.begin() + 243 * i, epoch1[0].rgb.begin() + 243 * (i + 1));
    EXPECT_EQ(versions.size(), 12u);
}

void noise_but_bad(int64_t sample, const View& view, int side, uint8_t* rgb) {
    if (sample == 17 || sample == 31) fail_with(Exit::data, "image-", sample, ".jpg: cut off");
    if (sample == 99) fail("a mistake of ours");
    noise(sample, view, side, rgb);
}

TEST(Loader, BadImageIsFatal) {
    Loader loader(noise_but_bad, labels(100), training(4));
    for (int again = 0; again < 5; ++again) {
        loader.start(first(50), 0);
        Batch batch;
        ASSERT_TRUE(loader.next(batch));
        for (int twice = 0; twice < 2; ++twice)
            testing::expect_error(
                Exit::data, [&] { loader.next(batch); }, "image-17.jpg: cut off");
    }
}

TEST(Loader, BadImageIsSkipped) {
    LoaderOptions options = training(4);
    options.skip_bad = true;
    Loader loader(noise_but_bad, labels(100), options);
    loader.start(first(50), 0);
    const auto got = rest(loader, 9);
    ASSERT_EQ(got.size(), 5u);
    EXPECT_EQ(got[1].batch.samples[5], -1);
    EXPECT_EQ(got[1].batch.labels[5], -1);
    EXPECT_EQ(std::vector<uint8_t>(got[1].rgb.begin() + 5 * 243, got[1].rgb.begin() + 6 * 243),
              std::vector<uint8_t>(243));
    EXPECT_EQ(got[1].batch.samples[6], 18);
    // Only bad data may be skipped, not our own mistakes.
    loader.start({99}, 0);
    Batch batch;
    EXPECT_THROW(loader.next(batch), Error);
}

TEST(Loader, ABadImageStopsAndTheWayOnIsSaid) {
    Loader loader(noise_but_bad, labels(100), training(4));
    loader.start({17}, 0);
    Batch batch;
    testing::expect_error(
        Exit::data, [&] { loader.next(batch); }, std::string(kMaySkip));
}

TEST(Loader, BuffersAreReused) {
    LoaderOptions options = training(2);
    Loader loader(noise, labels(100), options);
    std::set<const uint8_t*> seen;
    for (int epoch = 0; epoch < 3; ++epoch) {
        loader.start(first(100), epoch);
        for (Batch batch; loader.next(batch);) seen.insert(batch.rgb);
    }
    EXPECT_EQ(seen.size(), 4u);
}

TEST(Loader, MakesAtMostTheQueueAhead) {
    std::atomic<int> made = 0;
    const auto count = [&](int64_t, const View&, int, uint8_t*) { ++made; };
    Loader loader(count, labels(1000), {.batch_size = 10, .image_size = 2, .workers = 2});
    loader.start(first(1000), 0);
    Batch batch;
    ASSERT_TRUE(loader.next(batch));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_LE(made, 40);
}

TEST(Loader, FewerWorkersOnceNothingIsDecoded) {
    std::mutex mutex;
    std::set<std::thread::id> threads;
    std::atomic<bool> ready = false;
    const auto source = [&](int64_t sample, const View& view, int side, uint8_t* rgb) {
        noise(sample, view, side, rgb);
        const std::lock_guard lock(mutex);
        threads.insert(std::this_thread::get_id());
    };
    LoaderOptions options = training(0);
    options.ready = [&] { return ready.load(); };
    Loader loader(source, labels(100), options);
    loader.start(first(100), 5);
    const auto before = rest(loader, 9);
    threads.clear();
    ready = true;
    loader.start(first(100), 5);
    expect_equal(rest(loader, 9), before);
    EXPECT_LE(threads.size(), std::max<size_t>(1, std::thread::hardware_concurrency() / 4));
    ready = false;
    loader.start(first(100), 5);
    expect_equal(rest(loader, 9), before);
}

TEST(Loader, EmptyEpoch) {
    Loader loader(noise, labels(3), training(2));
    Batch batch;
    EXPECT_FALSE(loader.next(batch));
    loader.start({}, 0);
    EXPECT_FALSE(loader.next(batch));
}

}  // namespace
}  // namespace fp
