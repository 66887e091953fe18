#include "engine/data/seen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/data/split.h"
#include "tests/data/folder.h"
#include "tests/expect_error.h"

namespace fp {
namespace {

using ::testing::Contains;
using testing::expect_error;
using ::testing::HasSubstr;

auto opening(const std::string& spec, const DatasetOptions& options = {}) {
    return [=] { open_dataset(spec, options); };
}

// n images of two classes without a split.
std::string rows(int n, const std::string& before = "", const std::string& after = ".jpg") {
    std::string out = "image,label\n";
    for (int i = 0; i < n; ++i) out += text(before, "ISIC_", i, after, i % 2 ? ",nv\n" : ",mel\n");
    return out;
}

int64_t count_seen(const SeenImages& seen, const Dataset& data) {
    return std::ranges::count_if(seen_before(seen, data), [](Seen s) { return s != Seen::no; });
}

TEST(Seen, AnotherDrawOfTheSameImagesIsRefused) {
    const Folder folder;
    const std::string spec = "csv:" + folder.write("t.csv", rows(200));
    const SeenImages seen = seen_images(open_dataset(spec, {.split_seed = 3}), std::nullopt);
    EXPECT_EQ(seen.train.size(), 120u);
    EXPECT_EQ(seen.val.size(), 40u);

    const Dataset again = open_dataset(spec, {.seen = seen});
    EXPECT_EQ(again.split_seed, 3u) << "the model's seed, where none is given";
    EXPECT_EQ(split_hash(again), seen.split_hash);
    EXPECT_THAT(again.notes, Contains(HasSubstr("seed 3 as for the model")));

    expect_error(Exit::data, opening(spec, {.split_seed = 0, .seen = seen}), "test ", "drawn with seed 3",
                 "drawn with seed 0", "--split-seed 3", "--allow-leak");
    const Dataset allowed = open_dataset(spec, {.split_seed = 0, .seen = seen, .allow_leak = true});
    EXPECT_THAT(allowed.notes, Contains(HasSubstr("the model has seen images")));
}

TEST(Seen, AChangedTableIsRefusedAndTheWrittenSplitHelps) {
    const Folder folder;
    const Dataset trained = open_dataset("csv:" + folder.write("t.csv", rows(200)), {.split_seed = 3});
    const SeenImages seen = seen_images(trained, std::nullopt);
    write_drawn_split(folder.string(), trained);
    const std::string fewer = "csv:" + folder.write("fewer.csv", rows(150));
    expect_error(Exit::data, opening(fewer, {.seen = seen}), "the model has seen images that are now to judge it");
    const Dataset back = open_dataset("csv:" + folder.string() + "/split.csv", {.seen = seen});
    EXPECT_EQ(split_hash(back), seen.split_hash);
    EXPECT_FALSE(back.split_seed);
}

TEST(Seen, WithoutTheSplitThatWasGivenItIsSaidWhatToDo) {
    const Folder folder;
    std::string given = "image,label,split\n", bare = "image,label\n";
    for (int i = 0; i < 40; ++i) {
        const std::string row = text("i", i, ".png,", i % 2 > 0 ? "nv" : "mel");
        given += text(row, i < 20 ? ",train\n" : i < 30 ? ",val\n" : ",test\n");
        bare += row + "\n";
    }
    const SeenImages seen = seen_images(open_dataset("csv:" + folder.write("given.csv", given)), std::nullopt);
    expect_error(Exit::data, opening("csv:" + folder.write("bare.csv", bare), {.seen = seen}), "was given by the data",
                 "here it is drawn", "split=COLUMN", "fp_eval --split all --allow-leak");
}

TEST(Seen, NeitherFolderNorEndingHidesAnImage) {
    const Folder folder;
    const auto keys = [&](const std::string& text) {
        return image_keys(open_dataset("csv:" + folder.write("t.csv", text)));
    };
    EXPECT_EQ(keys(rows(9)), keys(rows(9, "small/", ".png")));
    EXPECT_NE(keys("image,label\na/1.png,x\nb/1.png,y\n"), keys("image,label\na/1.png,x\nc/1.png,y\n"));
    const auto twice = keys("image,label\na/1.png,x\nb/1.png,y\n");
    EXPECT_NE(twice[0], twice[1]) << "two files of one name";
}

TEST(Seen, OnlyTheEndingTellsTwoImagesApart) {
    const Folder folder;
    const auto open = [&](const std::string& text) {
        return open_dataset("csv:" + folder.write("t.csv", "image,label,split\n" + text), {.allow_leak = true});
    };
    const std::string both = "a.jpg,x,train\na.png,y,test\nb.jpg,y,train\n";
    const SeenImages seen = seen_images(open(both), std::nullopt);
    EXPECT_EQ(seen.train.size(), 2u);
    EXPECT_EQ(count_seen(seen, open(both)), 2);
    EXPECT_EQ(count_seen(seen, open("a.png,y,test\n")), 0);
    EXPECT_EQ(count_seen(seen, open("small/a.jpg,x,test\nb.png,y,test\n")), 2);
    const DatasetOptions again{.seen = seen};
    EXPECT_NO_THROW(opening("csv:" + folder.write("t.csv", "image,label,split\n" + both), again)());
}

// Folders per class number their images alike, so a part of them can have other names than the whole.
TEST(Seen, APartOfTheImagesIsKnownAndSoIsMoreOfThem) {
    const Folder folder;
    const auto open = [&](const std::string& text, const std::string& images = "") {
        return open_dataset("csv:" + folder.write("t.csv", "image,label,split\n" + text) + images,
                            {.allow_leak = true});
    };
    const std::string a = "a/0.png,x,train\na/1.png,y,val\n", b = "b/0.png,y,train\nb/1.png,y,test\n";
    const SeenImages both = seen_images(open(a + b), std::nullopt), part = seen_images(open(a), std::nullopt);
    EXPECT_EQ(count_seen(both, open(a)), 2);
    EXPECT_EQ(count_seen(both, open(b)), 1);
    EXPECT_EQ(count_seen(both, open("0.png,x,train\n", ",images=" + folder.string() + "/a")), 1) << "another root";
    EXPECT_EQ(count_seen(both, open("c/0.png,x,train\n")), 0);
    EXPECT_EQ(count_seen(both, open("0.png,x,train\n")), 0);
    EXPECT_EQ(count_seen(part, open(a + "other/b/2.png,y,test\n")), 2);
    EXPECT_EQ(count_seen(seen_images(open(b), part), open(a + b)), 4) << "taken for those of a";
    expect_error(
        Exit::data,
        [&] {
            open_dataset("csv:" + folder.write("t.csv", "image,label,split\na/0.png,x,test\nb/1.png,y,test\n"),
                         {.seen = both});
        },
        "the model has seen images that are now to judge it: test 1 of 2");
}

// A file beside the folders that are needed to tell others apart.
TEST(Seen, AnImageOfTheRootIsTakenForNoOther) {
    const Folder folder;
    const Dataset data = open_dataset("csv:" + folder.write("t.csv",
                                                            "image,label,split\n0.png,x,train\na/0.png,y,val\n"
                                                            "b/0.png,y,test\nb/1.png,y,test\n"));
    const SeenImages seen = seen_images(data, std::nullopt);
    EXPECT_EQ(seen_before(seen, data), (std::vector{Seen::learned_from, Seen::chosen_by, Seen::no, Seen::no}));
}

TEST(Seen, OtherDataAreJudgedWhole) {
    const Folder folder;
    const SeenImages seen = seen_images(open_dataset("csv:" + folder.write("t.csv", rows(100))), std::nullopt);
    const std::string other = "csv:" + folder.write("o.csv", "image,label\nPAD_1.png,nv\nPAD_2.png,mel\n");
    const Dataset whole = open_dataset(other, {.seen = seen, .whole_if_unseen = true});
    EXPECT_EQ(members(whole, Split::test).size(), 2u);
    EXPECT_FALSE(whole.split_seed);
    EXPECT_TRUE(open_dataset(other, {.split_seed = 1, .seen = seen, .whole_if_unseen = true}).split_seed);
    EXPECT_TRUE(open_dataset(other, {.seen = seen}).split_seed) << "training needs a split";
    SeenImages more = seen;  // what it has seen before is not known, so that these may be among it
    more.earlier_unknown = true;
    EXPECT_TRUE(open_dataset(other, {.seen = more, .whole_if_unseen = true}).split_seed);
    EXPECT_TRUE(seen_images({}, more).earlier_unknown) << "as what went before was";
    const std::string mixed = "csv:" + folder.write("m.csv", rows(100) + "PAD_1.png,nv\n");
    expect_error(Exit::data, opening(mixed + ",split=none", {.split_seed = 1, .seen = seen, .whole_if_unseen = true}),
                 "--allow-leak");
}

// As fp_prune --finetune-on val-half leaves it.
TEST(Seen, ToJudgeTheHalfOfValidationThatWasLearnedFromIsTrain) {
    const Folder folder;
    const auto open = [&](const std::string& text, const DatasetOptions& options = {}) {
        return open_dataset("csv:" + folder.write("t.csv", "image,label,split\n" + text), options);
    };
    const std::string table = "a,x,train\nb,y,val\nc,x,val\nd,y,test\n";
    const SeenImages halved = seen_images(open("b,y,train\nc,x,val\n"), seen_images(open(table), std::nullopt));
    const Dataset judged = open(table, {.seen = halved, .whole_if_unseen = true});
    EXPECT_EQ(members(judged, Split::val), std::vector<int64_t>{2});
    EXPECT_EQ(members(judged, Split::test), std::vector<int64_t>{3});
    EXPECT_THAT(judged.notes, Contains(HasSubstr("1 of 2 images of val")));
    const auto refused = [&](const std::string& text, const DatasetOptions& options) {
        expect_error(
            Exit::data, [&] { open(text, options); }, "val 1 of 2");
    };
    refused(table, {.seen = halved});
    refused("b,y,val\nc,x,val\ne,y,train\na,x,test\n", {.seen = halved, .whole_if_unseen = true});
}

TEST(Seen, GeneratedImagesAreKnownByTheirSpecification) {
    const SeenImages seen = seen_images(open_dataset("synth:n=100,seed=1"), std::nullopt);
    EXPECT_EQ(count_seen(seen, open_dataset("synth:n=50,seed=1")), 40);
    EXPECT_EQ(count_seen(seen, open_dataset("synth:n=50,seed=2")), 0);
}

TEST(Seen, ATrainingAddsToWhatWasSeenBefore) {
    const Folder folder;
    const auto open = [&](const std::string& text) {
        return open_dataset("csv:" + folder.write("t.csv", "image,label,split\n" + text), {.allow_leak = true});
    };
    const SeenImages first = seen_images(open("a,x,train\nb,y,val\nc,y,test\n"), std::nullopt);
    const SeenImages both = seen_images(open("b,x,train\nd,y,train\ne,x,val\n"), first);
    EXPECT_EQ(both.train.size(), 3u);
    EXPECT_EQ(both.val.size(), 1u) << "b is learned from now";
    SeenImages foreign = first;
    foreign.first_weights_unknown = true;
    const Dataset after = open_dataset("csv:" + folder.string() + "/t.csv",
                                       {.seen = seen_images(open("b,x,train\n"), foreign), .allow_leak = true});
    EXPECT_THAT(after.notes, Contains(HasSubstr("first weights (--weights) were trained on is not known")));
    EXPECT_EQ(count_seen(both, open("a,x,test\nc,y,test\n")), 1);
    Dataset judged = open("b,x,val\nc,y,test\nd,y,test\n");
    judged.seen = first;
    EXPECT_NO_THROW(refuse_leaks(judged, false));
    judged.samples[0].split = Split::other;
    judged.samples[0].other_split = "external";
    expect_error(
        Exit::data, [&] { refuse_leaks(judged, false); }, "external 1 of 1");
}

TEST(Seen, OfVeryManyImagesASampleIsKept) {
    Dataset data{.classes = {"x"}};
    for (int i = 0; i < (1 << 20) + 5000; ++i)
        data.samples.push_back({.image = std::to_string(i), .split = i % 4 ? Split::train : Split::val});
    const SeenImages seen = seen_images(data, std::nullopt);
    EXPECT_EQ(seen.train.size() + seen.val.size(), size_t(1) << 20);
    EXPECT_NEAR(double(seen.val.size()), double(1 << 18), 2000);
    EXPECT_EQ(count_seen(seen, data), 1 << 20);
    EXPECT_TRUE(seen.truncated);
    EXPECT_TRUE(seen_images({}, seen).truncated) << "as what went before was";
    data.samples.resize(1 << 20);
    EXPECT_FALSE(seen_images(data, std::nullopt).truncated);
}

TEST(Seen, LesionsOnTwoSidesAreRefused) {
    const Folder folder;
    const auto csv = [&](const std::string& text) {
        return "csv:" + folder.write("t.csv", "image,label,split,lesion_id,patient_id\n" + text);
    };
    for (const char* leak : {"a,x,train,1,\nb,y,test,1,\n", "a,x,train,1,7\nb,y,val,2,7\n", "a,x,val,,7\nb,y,out,,7\n"})
        expect_error(Exit::data, opening(csv(leak)), "1 lesions or patients", "--allow-leak");
    const Dataset allowed = open_dataset(csv("a,x,train,L1,\nb,y,test,L1,\n"), {.allow_leak = true});
    EXPECT_THAT(allowed.notes, Contains(HasSubstr("the first: L1")));
    EXPECT_NO_THROW(open_dataset(csv("a,x,test,1,\nb,y,out,1,\n"))) << "both are judged, neither is trained on";
}

}  // namespace
}  // namespace fp
