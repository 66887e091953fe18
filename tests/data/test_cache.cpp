#include "engine/data/cache.h"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "engine/data/images.h"
#include "engine/io/temporaries.h"
#include "kernels/random.h"
#include "tests/expect_error.h"
#include "tests/parallel/thread_ranks.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;

const std::string kKey = "0123456789abcdef0123456789abcdef";

Pixels noise(int width, int height, uint64_t key) {
    Pixels out{.width = width, .height = height, .rgb = {}};
    for (int i = 0; i < 3 * width * height; ++i) out.rgb.push_back(uint8_t(philox(key, uint64_t(i)).word[0]));
    return out;
}

bool equal(const PixelView& a, const Pixels& b) {
    return a.width == b.width && a.height == b.height && std::equal(b.rgb.begin(), b.rgb.end(), a.rgb);
}

// Width and height by sample; every seventh is bad.
Pixels make(int64_t sample) {
    if (sample % 7 == 3) fail_with(Exit::data, "bad");
    return noise(8 + int(sample % 5), 8, uint64_t(sample));
}

TEST(CacheFile, GivesBackWhatWasWritten) {
    const TemporaryFolder folder;
    const fs::path file = folder / "images";
    int64_t reported = 0;
    CacheFile::write(file, {kKey, 8, 600}, make, 3, [&](int64_t done) { reported = done; });
    EXPECT_EQ(reported, 600);
    const auto cache = CacheFile::open(file, {kKey, 8, 600});
    ASSERT_TRUE(cache);
    for (int64_t i = 0; i < 600; ++i) {
        const auto found = cache->find(i);
        ASSERT_EQ(found.has_value(), i % 7 != 3);
        EXPECT_TRUE(!found || equal(*found, make(i)));
    }
}

TEST(CacheFile, SameBytesWhateverTheWorkers) {
    const TemporaryFolder folder;
    CacheFile::write(folder / "one", {kKey, 8, 300}, make, 1, {});
    CacheFile::write(folder / "four", {kKey, 8, 300}, make, 4, {});
    EXPECT_EQ(read_file(folder / "one", 1 << 20), read_file(folder / "four", 1 << 20));
}

TEST(CacheFile, OfAnotherKeyOrDamagedIsNone) {
    const TemporaryFolder folder;
    const fs::path file = folder / "images";
    EXPECT_FALSE(CacheFile::open(file, {kKey, 8, 20}));
    CacheFile::write(file, {kKey, 8, 20}, make, 2, {});
    EXPECT_TRUE(CacheFile::open(file, {kKey, 8, 20}));
    EXPECT_FALSE(CacheFile::open(file, {std::string(32, 'f'), 8, 20}));
    EXPECT_FALSE(CacheFile::open(file, {kKey, 9, 20}));
    EXPECT_FALSE(CacheFile::open(file, {kKey, 8, 19}));
    const std::string whole = read_file(file, 1 << 20);
    for (size_t length : {size_t(0), size_t(10), whole.size() / 2, whole.size() - 1}) {
        std::ofstream(file, std::ios::binary) << whole.substr(0, length);
        EXPECT_FALSE(CacheFile::open(file, {kKey, 8, 20})) << length;
    }
    std::string bad = whole;
    for (const size_t at : {bad.size() - 40, bad.size() / 2}) {  // in the index, in the pixels
        bad[at] ^= 1;
        std::ofstream(file, std::ios::binary) << bad;
        EXPECT_FALSE(CacheFile::open(file, {kKey, 8, 20})) << at;
        bad[at] ^= 1;
    }
}

TEST(CacheFile, FailureLeavesNoFile) {
    const TemporaryFolder folder;
    const auto broken = [](int64_t sample) -> Pixels {
        if (sample == 270) fail("a mistake of ours");
        return make(sample);
    };
    testing::expect_error(
        Exit::bug,
        [&] {
            CacheFile::write(folder / "images", {kKey, 8, 300}, broken, 2, {});
        },
        "a mistake of ours");
    EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(MemoryCache, KeepsUpToItsLimit) {
    MemoryCache cache(3 * 8 * 8 * 2);
    EXPECT_FALSE(cache.find(2));
    cache.keep(2, noise(8, 8, 2));
    cache.keep(2, noise(8, 8, 99));  // the first one stays
    cache.keep(0, noise(8, 8, 0));
    cache.keep(1, noise(8, 8, 1));  // no room
    EXPECT_TRUE(equal(*cache.find(2), noise(8, 8, 2)));
    EXPECT_TRUE(equal(*cache.find(0), noise(8, 8, 0)));
    EXPECT_FALSE(cache.find(1));
    EXPECT_EQ(cache.kept(), 2);
}

TEST(MemoryCache, ManyThreads) {
    MemoryCache cache(1 << 30);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 100; ++i) {
                cache.keep(i, noise(4, 4, uint64_t(i)));
                EXPECT_TRUE(equal(*cache.find(i), noise(4, 4, uint64_t(i))));
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(cache.kept(), 100);
}

class DatasetImagesTest : public ::testing::Test {
protected:
    // Wide, high, square, very long, and a file that is no image.
    DatasetImagesTest() {
        data.root = folder.path().string();
        const Size sizes[] = {{20, 12}, {12, 33}, {16, 16}, {400, 7}, {8, 8}};
        for (const Size& size : sizes) {
            const auto n = data.samples.size();
            data.samples.push_back({.image = text("i", n, ".png")});
            images.push_back(noise(size.width, size.height, n));
            write_png(folder / data.samples.back().image, images.back());
        }
        data.samples.push_back({.image = "bad.jpg"});
        std::ofstream(folder / "bad.jpg") << "<html>";
    }

    std::vector<uint8_t> read(DatasetImages& source, int64_t sample, const View& view = {}) {
        std::vector<uint8_t> out(3 * 16 * 16, 77);
        source.read(sample, view, 16, out.data());
        return out;
    }

    void expect_right(DatasetImages& source) {
        for (int round = 0; round < 2; ++round) {
            for (size_t i = 0; i < images.size(); ++i) {
                std::vector<uint8_t> want(3 * 16 * 16);
                fit_centre(images[i], 16, want.data());
                EXPECT_EQ(read(source, int64_t(i)), want) << i;
            }
            testing::expect_error(
                Exit::data, [&] { read(source, 5); }, "bad.jpg", "HTML");
        }
    }

    TemporaryFolder folder;
    Dataset data;
    std::vector<Pixels> images;
};

TEST_F(DatasetImagesTest, CentreIsTheEvaluationTransformCachedOrNot) {
    DatasetImages none(data, {.image_size = 16, .memory_bytes = 0});
    expect_right(none);
    EXPECT_FALSE(none.all_cached());
    DatasetImages memory(data, {.image_size = 16});
    expect_right(memory);
    DatasetImages little(data, {.image_size = 16, .memory_bytes = 3000});
    expect_right(little);
    DatasetImages file(data, {.image_size = 16, .cache = folder / "cache"});
    expect_right(file);
    EXPECT_TRUE(file.wrote_cache());
    EXPECT_TRUE(file.all_cached());
}

TEST_F(DatasetImagesTest, RandomCropsAreTheSameCachedOrNot) {
    DatasetImages none(data, {.image_size = 16, .memory_bytes = 0});
    DatasetImages memory(data, {.image_size = 16});
    DatasetImages file(data, {.image_size = 16, .cache = folder / "cache"});
    for (const Crop crop : {Crop::random, Crop::resized})
        for (uint64_t key = 0; key < 20; ++key)
            for (int64_t i = 0; i < 3; ++i) {
                const View view{.crop = crop, .key = key};
                const auto want = read(none, i, view);
                EXPECT_EQ(read(memory, i, view), want);
                EXPECT_EQ(read(file, i, view), want);
            }
}

TEST_F(DatasetImagesTest, CacheFileIsUsedUntilAFileChanges) {
    const ImageOptions options{.image_size = 16, .cache = folder / "cache"};
    const fs::path first = DatasetImages(data, options).cache_file();
    DatasetImages again(data, options);
    EXPECT_FALSE(again.wrote_cache());
    EXPECT_EQ(again.cache_file(), first);

    fs::last_write_time(folder / "i1.png", fs::last_write_time(folder / "i1.png") + std::chrono::seconds(1));
    DatasetImages touched(data, options);
    EXPECT_TRUE(touched.wrote_cache());
    EXPECT_NE(touched.cache_file(), first);

    std::swap(data.samples[0], data.samples[2]);
    EXPECT_TRUE(DatasetImages(data, options).wrote_cache());
    EXPECT_TRUE(DatasetImages(data, {.image_size = 8, .cache = folder / "cache"}).wrote_cache());
}

TEST_F(DatasetImagesTest, AHarmedCacheFileIsMadeAnew) {
    const ImageOptions options{.image_size = 16, .cache = folder / "cache"};
    const fs::path file = DatasetImages(data, options).cache_file();
    fs::resize_file(file, fs::file_size(file) - 1);
    DatasetImages again(data, options);
    EXPECT_TRUE(again.wrote_cache());
    expect_right(again);
}

TEST_F(DatasetImagesTest, WhatAKilledProcessWasWritingIsRemoved) {
    fs::create_directory(folder / "cache");
    const fs::path ours = temporary_beside(folder / "cache/images-0.cache"),
                   other = temporary_beside(folder / "cache/report.csv");
    for (const fs::path& path : {ours, other}) std::ofstream(path) << "part";
    DatasetImages(data, {.image_size = 16, .cache = folder / "cache"});
    EXPECT_FALSE(fs::exists(ours));
    EXPECT_TRUE(fs::exists(other)) << "of another program";
}

// Of ranks that see one folder the first writes; the first rank of a host that has a folder of its own writes that.
TEST_F(DatasetImagesTest, OneRankPerFolderWritesTheCache) {
    for (const bool shared : {true, false}) {
        testing::ThreadRoom room(4, 60);
        std::vector<int> wrote(4);
        testing::run_ranks(4, [&](const Comm& comm) {
            testing::ThreadRank me{room, comm.rank()};
            const int host = comm.rank() / 2;
            const Comm ranks({.rank = me.rank, .ranks = 4, .local_rank = me.rank % 2, .local_ranks = 2},
                             me.collectives());
            DatasetImages found(
                data, {.image_size = 16, .cache = folder / (shared ? "shared" : text("host", host)), .ranks = &ranks});
            wrote[size_t(me.rank)] = found.wrote_cache();
            EXPECT_TRUE(found.all_cached());
            expect_right(found);
        });
        EXPECT_EQ(wrote, shared ? (std::vector<int>{1, 0, 0, 0}) : (std::vector<int>{1, 0, 1, 0}));
    }
}

// More images than a block: the waiting ranks are told in between.
TEST(DatasetImages, RanksWaitForALongCache) {
    const TemporaryFolder folder;
    const Dataset data = open_dataset("synth:n=600,size=8");
    for (const bool there : {false, true})
        testing::run_ranks(2, [&](const Comm& comm) {
            const DatasetImages images(data, {.image_size = 8, .cache = folder.path(), .ranks = &comm});
            EXPECT_EQ(images.wrote_cache(), comm.first() && !there);
            EXPECT_TRUE(images.all_cached());
        });
}

TEST_F(DatasetImagesTest, ACacheThatOneRankCannotWriteEndsAll) {
    testing::run_ranks(2, [&](const Comm& comm) {
        const fs::path cache = folder / (comm.first() ? "bad.jpg/cache" : "cache");
        testing::expect_error(
            Exit::data, [&] { DatasetImages(data, {.image_size = 16, .cache = cache, .ranks = &comm}); },
            "bad.jpg/cache");
        EXPECT_FALSE(comm.any(false));
    });
}

TEST_F(DatasetImagesTest, CacheFolderThatCannotBeMade) {
    testing::expect_error(
        Exit::data, [&] { DatasetImages(data, {.image_size = 16, .cache = folder / "bad.jpg/cache"}); },
        "bad.jpg/cache");
}

TEST(DatasetImages, Synth) {
    const Dataset data = open_dataset("synth:n=12,size=24");
    DatasetImages same(data, {.image_size = 24}), small(data, {.image_size = 10});
    for (int64_t i = 0; i < 12; ++i) {
        Pixels want{.width = 24, .height = 24, .rgb = std::vector<uint8_t>(3 * 24 * 24)};
        render(*data.synth, i, want.rgb.data());
        std::vector<uint8_t> out(3 * 24 * 24), out_small(300), want_small(300);
        same.read(i, {}, 24, out.data());
        EXPECT_EQ(out, want.rgb);
        small.read(i, {}, 10, out_small.data());
        fit_centre(want, 10, want_small.data());
        EXPECT_EQ(out_small, want_small);
    }
    EXPECT_TRUE(same.all_cached());
}

TEST(DatasetImages, ThroughTheLoader) {
    const Dataset data = open_dataset("synth:n=40,size=16");
    DatasetImages images(data, {.image_size = 16});
    std::vector<int32_t> labels;
    for (const Sample& sample : data.samples) labels.push_back(sample.label);
    const auto read = [&](int64_t sample, const View& view, int side, uint8_t* rgb) {
        images.read(sample, view, side, rgb);
    };
    Loader loader(read, labels, {.batch_size = 16, .image_size = 16, .workers = 3, .augment = paper_augmentation()});
    std::vector<uint8_t> first;
    for (int epoch = 0; epoch < 2; ++epoch) {
        loader.start(members(data, Split::train), 1);
        std::vector<uint8_t> all;
        for (Batch batch; loader.next(batch);) all.insert(all.end(), batch.rgb, batch.rgb + 16 * 3 * 16 * 16);
        if (epoch == 0) first = all;
        EXPECT_EQ(all, first);
    }
}

}  // namespace
}  // namespace fp
