#include "engine/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "engine/data/split.h"
#include "engine/io/columns.h"
#include "tests/data/folder.h"
#include "tests/expect_error.h"
#include "tests/shared.h"

namespace fp {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::expect_error;
using ::testing::HasSubstr;
using ::testing::Not;

auto opening(const std::string& spec, const DatasetOptions& options = {}) {
    return [=] { open_dataset(spec, options); };
}

std::map<std::string, int> class_counts(const Dataset& data) {
    std::map<std::string, int> count;
    for (const Sample& s : data.samples) ++count[data.classes[size_t(s.label)]];
    return count;
}

TEST(Dataset, ReadsACsv) {
    const Folder folder;
    const std::string file = folder.write("t.csv",
                                          "label,image,gender,split,lesion_id,patient_id\n"
                                          "nv,a.jpg,male,train,L1,P1\n"
                                          "mel,b c.jpg,,validation,,P2\n"
                                          "nv,sub/d.jpg,female,TEST,unknown,\n"
                                          "nv,e.jpg,female,,L9,P9\n");
    const Dataset data = open_dataset("csv:" + file + ",images=/pictures");
    EXPECT_EQ(data.root, "/pictures");
    EXPECT_THAT(data.classes, ElementsAre("mel", "nv"));
    EXPECT_THAT(data.columns, ElementsAre("gender", "lesion_id", "patient_id"));
    ASSERT_EQ(data.samples.size(), 3u);
    EXPECT_EQ(data.samples[0].unit, "L1");
    EXPECT_EQ(data.samples[1].unit, "P2");
    EXPECT_EQ(data.samples[2].unit, "sub/d.jpg");
    EXPECT_EQ(data.samples[0].label, 1);
    EXPECT_EQ(data.samples[1].split, Split::val);
    EXPECT_EQ(data.samples[2].split, Split::test);
    EXPECT_EQ(data.samples[2].attributes, Cells({"female", "unknown", ""}));
    EXPECT_THAT(data.notes, ElementsAre(HasSubstr("left out 1 of 4 images without a word under split"),
                                        HasSubstr("train has images of one class alone"),
                                        HasSubstr("no image of the class mel, val has 1 and test 0")));
    EXPECT_FALSE(data.split_seed);
    EXPECT_EQ(open_dataset("csv:" + file).root, folder.string());
}

TEST(Dataset, AColumnThatMayBeTheSplitIsNamed) {
    const Folder folder;
    const std::string file = folder.write("t.csv",
                                          "image,label,fold,usage,site\na,x,0,train,arm\nb,y,1,Validation,leg\n"
                                          "c,x,2,test,\n");
    const std::string note = " is not used as the split; split=";
    EXPECT_THAT(open_dataset("csv:" + file).notes,
                AllOf(Contains("the column fold" + note + "fold behind the table names it"),
                      Contains("the column usage" + note + "usage behind the table names it"),
                      Not(Contains(HasSubstr("site")))));
    for (const char* split : {",split=usage", ",split=none"})
        EXPECT_THAT(open_dataset("csv:" + file + split).notes, Not(Contains(HasSubstr(note))));
}

TEST(Dataset, TakesOtherColumnsWhenAsked) {
    const Folder folder;
    const std::string file = folder.write("t.csv",
                                          "image,label,split,fold,kind\n"
                                          "a,x,train,test,k1\nb,y,test,train,k2\nc,y,test,,k1\n");
    const Dataset data = open_dataset("csv:" + file + ",split=fold,label=kind,ext=.png");
    EXPECT_THAT(data.classes, ElementsAre("k1", "k2"));
    EXPECT_THAT(data.columns, ElementsAre("label", "split"));
    ASSERT_EQ(data.samples.size(), 2u);
    EXPECT_EQ(data.samples[0].image, "a.png");
    EXPECT_EQ(data.samples[0].split, Split::test);
    EXPECT_TRUE(open_dataset("csv:" + file + ",split=none").split_seed.has_value());
}

TEST(Dataset, NumbersSortAsNumbers) {
    const Folder folder;
    std::string text = "image,label\n";
    for (const char* label : {"10", "9", "-1", "0"}) text += std::string("i") + label + "," + label + "\n";
    EXPECT_THAT(open_dataset("csv:" + folder.write("t.csv", text)).classes, ElementsAre("-1", "0", "9", "10"));
}

TEST(Dataset, TakesTheClassesOfACheckpoint) {
    const Folder folder;
    const std::string spec = "csv:" + folder.write("t.csv", "image,label\na,nv\nb,mel\n");
    const DatasetOptions options{.classes = {"nv", "bcc", "mel"}};
    EXPECT_EQ(open_dataset(spec, options).samples[1].label, 2);
    expect_error(Exit::data, opening(spec, {.classes = {"nv"}}), "t.csv:3: label 'mel' is none of the 1 classes nv");
    EXPECT_EQ(open_dataset("synth:classes=2", {.classes = {"class01", "x", "class00"}}).samples[0].label, 2);
    expect_error(Exit::data, opening("synth:classes=2", {.classes = {"class01"}}), "class00");
}

TEST(Dataset, LeavesOutUnknownsWhenAsked) {
    const Folder folder;
    const std::string spec =
        "csv:" + folder.write("t.csv", "image,label,sex,age\na,x,male,5\nb,x,,5\nc,x,Unknown,5\nd,y,male,nan\n");
    const Dataset data = open_dataset(spec, {.exclude_unknown = {"sex", "age"}});
    EXPECT_EQ(data.samples.size(), 1u);
    EXPECT_THAT(data.classes, ElementsAre("x", "y"));
    EXPECT_THAT(data.notes[0], HasSubstr("left out 1 of 4 images whose age is unknown"));
    EXPECT_THAT(data.notes[1], HasSubstr("left out 2 of 4 images whose sex is unknown"));
    expect_error(Exit::data, opening(spec, {.exclude_unknown = {"tone"}}), "no column 'tone'");
}

TEST(Dataset, RefusesWithTheReason) {
    const Folder folder;
    const auto csv = [&](const std::string& text) { return "csv:" + folder.write("t.csv", text); };
    expect_error(Exit::data, opening(csv("image,sex,years\na,m,3\n")),
                 "t.csv: no column 'label', only image, sex, years");
    expect_error(Exit::data, opening(csv("image,label\na,\n")), "t.csv:2: no label");
    expect_error(Exit::data, opening(csv("image,label\n,x\n")), "t.csv:2: no image");
    expect_error(Exit::data, opening(csv("image,label\n")), "no images are left");
    expect_error(Exit::data, opening(csv("image,label\na\n")), "t.csv:2: 1 cells");
    expect_error(Exit::data, opening("csv:" + folder.string() + "/none.csv"), "none.csv: ");
    for (const std::string bad :
         {"", "nothing", ":x", "csv:", "tar:x", "csv:a.csv,imges=x", "folder:x,split=y", "synth:1"})
        expect_error(Exit::usage, opening(bad), "--data");
}

TEST(Dataset, ImagesStayBelowTheRoot) {
    const Folder folder;
    for (const std::string path : {"/etc/passwd", "../x.jpg", "a/../../x.jpg", "a/.."}) {
        const std::string spec = "csv:" + folder.write("t.csv", "image,label\n" + path + ",x\n");
        expect_error(Exit::data, opening(spec), "t.csv:2: ", "--allow-absolute");
        EXPECT_EQ(open_dataset(spec, {.allow_absolute = true}).samples[0].image, path);
    }
    for (const std::string path : {"a..b.jpg", "..a/x.jpg", "name with spaces.jpg", "名前-é.jpg"})
        EXPECT_EQ(open_dataset("csv:" + folder.write("t.csv", "image,label\n" + path + ",x\n")).samples[0].image, path);
}

TEST(Dataset, ReadsAFolder) {
    const Folder folder;
    for (const char* file : {"nv/1.jpg", "nv/deep/2.PNG", "mel/3.jpeg", "mel/notes.txt", "nv/.hidden.jpg"})
        folder.write(file, "");
    const Dataset data = open_dataset("folder:" + folder.string());
    EXPECT_THAT(data.classes, ElementsAre("mel", "nv"));
    ASSERT_EQ(data.samples.size(), 3u);
    EXPECT_EQ(data.samples[0].image, "mel/3.jpeg");
    EXPECT_EQ(data.samples[1].image, "nv/1.jpg");
    EXPECT_EQ(data.samples[2].image, "nv/deep/2.PNG");
    EXPECT_TRUE(data.split_seed.has_value());
    EXPECT_EQ(data.notes[0], "skipped 1 file that is no JPEG, PNG or BMP: 1 .txt");
    EXPECT_TRUE(data.columns.empty());
}

TEST(Dataset, FilesThatAreNoImagesAreNamedByTheirKind) {
    const Folder folder;
    for (const char* file : {"nv/1.jpg", "mel/2.tif", "mel/3.tif", "mel/4.webp", "mel/list"}) folder.write(file, "");
    EXPECT_EQ(open_dataset("folder:" + folder.string()).notes[0],
              "skipped 4 files that are no JPEG, PNG or BMP: 2 .tif, 1 .webp, 1 without an ending");
    std::filesystem::remove(folder / "nv/1.jpg");
    expect_error(Exit::data, opening("folder:" + folder.string()), "(2 folders; skipped 4 files", "2 .tif");
}

TEST(Dataset, ClassesThatDifferInCaseAloneAreNamed) {
    const Folder folder;
    const std::string file = folder.write("t.csv", "image,label,split\na,MEL,train\nb,mel,train\nc,nv,train\n");
    EXPECT_THAT(open_dataset("csv:" + file).notes, ::testing::Contains("the classes MEL and mel differ in case alone"));
}

TEST(Dataset, ReadsAFolderOfSplits) {
    const Folder folder;
    for (int i = 0; i < 20; ++i) folder.write("train/nv/" + std::to_string(i) + ".jpg", "");
    folder.write("train/mel/x.jpg", "");
    folder.write("test/nv/x.jpg", "");
    const Dataset without_val = open_dataset("folder:" + folder.string());
    EXPECT_EQ(members(without_val, Split::test).size(), 1u);
    EXPECT_EQ(members(without_val, Split::val).size(), 4u);
    EXPECT_EQ(members(without_val, Split::train).size(), 17u);
    EXPECT_THAT(without_val.notes, ElementsAre(HasSubstr("drew val from a fifth of train")));
    folder.write("valid/mel/y.jpg", "");
    const Dataset all = open_dataset("folder:" + folder.string());
    EXPECT_EQ(members(all, Split::val).size(), 1u);
    EXPECT_EQ(members(all, Split::train).size(), 21u);
    EXPECT_TRUE(all.notes.empty());
}

TEST(Dataset, AFolderBesideTheSplitsIsNoClass) {
    const Folder folder;
    for (const char* file : {"train/nv/1.jpg", "train/mel/2.jpg", "val/nv/3.jpg", "test/nv/4.jpg", "__MACOSX/x/5.jpg"})
        folder.write(file, "");
    const Dataset data = open_dataset("folder:" + folder.string());
    EXPECT_THAT(data.classes, ElementsAre("mel", "nv"));
    EXPECT_EQ(data.samples.size(), 4u);
    EXPECT_THAT(data.notes, ElementsAre(HasSubstr("__MACOSX")));
    const Folder classes;  // where one class is called as a split
    for (const char* file : {"train/1.jpg", "car/2.jpg"}) classes.write(file, "");
    EXPECT_THAT(open_dataset("folder:" + classes.string()).classes, ElementsAre("car", "train"));
}

TEST(Dataset, SpacesAroundLabelsAndSplitsDoNotCount) {
    const Folder folder;
    const Dataset data = open_dataset(
        "csv:" + folder.write("t.csv", "image,label,split\na,nv ,train\nb,nv, val\nc, mel,Train \nd,mel,test\n"));
    EXPECT_THAT(data.classes, ElementsAre("mel", "nv"));
    EXPECT_EQ(members(data, Split::train).size(), 2u);
}

TEST(Dataset, NamesTheClassesWithoutTraining) {
    const Folder folder;
    const auto notes = [&](const std::string& rows) {
        return open_dataset("csv:" + folder.write("t.csv", "image,label,split\n" + rows)).notes;
    };
    EXPECT_THAT(notes("a,x,train\nb,y,train\nc,z,test\nd,x,val\n"),
                ElementsAre("train has no image of the class z, val has 0 and test 1"));
    EXPECT_THAT(notes("a,x,train\nb,x,val\n"), ElementsAre("train has images of one class alone"));
    EXPECT_TRUE(notes("a,x,test\nb,y,test\n").empty());
}

TEST(Dataset, FoldersThatHoldNothingOrCannotBeRead) {
    const Folder folder;
    expect_error(Exit::data, opening("folder:" + folder.string()), "holds no CLASS/IMAGE");
    expect_error(Exit::data, opening("folder:" + folder.string() + "/none"), "is not a folder");
    folder.write("nv/1.jpg", "");
    std::filesystem::create_symlink("loop.jpg", folder / "nv/loop.jpg");
    expect_error(Exit::data, opening("folder:" + folder.string()), "loop.jpg");
}

TEST(Dataset, TheHashKnowsFilesLabelsAndSides) {
    const Folder folder;
    const auto hash = [&](const std::string& text) {
        return split_hash(open_dataset("csv:" + folder.write("t.csv", "image,label,split,sex\n" + text)));
    };
    const std::string first = hash("a,x,train,m\nb,y,test,m\n");
    EXPECT_EQ(first.size(), 32u);
    EXPECT_EQ(first, hash("a,x,train,f\nb,y,testing,m\n"));
    for (const char* other :
         {"a,x,train,m\nb,y,val,m\n", "a,x,train,m\nb,x,test,m\n", "a,x,train,m\nc,y,test,m\n", "a,x,train,m\n"})
        EXPECT_NE(first, hash(other));
}

TEST(Dataset, ReadsIsic2019AsPublished) {
    const Folder folder;
    const std::string header = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\n";
    const std::string rows =
        "ISIC_0000000,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
        "ISIC_0000002_downsampled,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
        "ISIC_0000003,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0\n";
    folder.write("ISIC_2019_Training_GroundTruth.csv", header + rows);
    folder.write("ISIC_2019_Training_Metadata.csv",
                 "image,gender,age_approx,anatom_site_general,lesion_id\n"
                 "ISIC_0000002_downsampled,,60.0,upper extremity,BCN_7\n"
                 "ISIC_0000000,female,55.0,anterior torso,\n");
    const Dataset data = open_dataset("isic2019:" + folder.string());
    EXPECT_THAT(data.classes, ElementsAre("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC"));
    ASSERT_EQ(data.samples.size(), 2u);
    EXPECT_EQ(data.samples[0].image, "ISIC_0000000.jpg");
    EXPECT_EQ(data.samples[0].label, 1);
    EXPECT_EQ(data.samples[0].unit, "ISIC_0000000.jpg");
    EXPECT_EQ(data.samples[1].unit, "BCN_7");
    EXPECT_EQ(data.samples[0].attributes[size_t(find_column(data.columns, "sex"))], "female");
    EXPECT_EQ(data.samples[1].attributes[size_t(find_column(data.columns, "age"))], "60.0");
    EXPECT_THAT(data.notes[0], HasSubstr("left out 1 images of the class UNK"));
    EXPECT_EQ(data.root, folder.string());
    folder.write("ISIC_2019_Training_Input/x", "");
    EXPECT_EQ(open_dataset("isic2019:" + folder.string()).root, folder.string() + "/ISIC_2019_Training_Input");

    const auto expect_refused = [&](const std::string& row, const char* why) {
        folder.write("ISIC_2019_Training_GroundTruth.csv", header + row);
        expect_error(Exit::data, opening("isic2019:" + folder.string()), why);
    };
    expect_refused("a,1.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n", "csv:2: 2 classes are set");
    expect_refused("a,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n", "csv:2: 0 classes are set");
    expect_refused("a,0.7,0.3,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n", "csv:2: '0.7' under MEL");
}

// What the shared copies must hold (their READMEs).
std::string shared_data(const std::string& set) { return (*shared_folder() / "data" / set).string(); }

TEST(Dataset, SharedIsic2019) {
    if (!shared_folder()) GTEST_SKIP() << "no shared folder: set FP_SHARED";
    const std::string spec = "csv:" + shared_data("isic2019-84") + "/dataset.csv";
    const Dataset data = open_dataset(spec);
    EXPECT_EQ(data.samples.size(), 22765u);
    const std::map<std::string, int> counts = {{"AK", 751},   {"BCC", 2990}, {"BKL", 2361}, {"DF", 215},
                                               {"MEL", 4069}, {"NV", 11587}, {"SCC", 565},  {"VASC", 227}};
    EXPECT_EQ(class_counts(data), counts);
    EXPECT_EQ(members(data, Split::train).size(), 13650u);
    EXPECT_EQ(members(data, Split::val).size(), 4558u);
    EXPECT_EQ(members(data, Split::test).size(), 4557u);
    EXPECT_TRUE(parted_units(data).empty());
    const Dataset paper = open_dataset(spec + ",split=split_paper", {.allow_leak = true});
    EXPECT_EQ(paper.samples.size(), 22765u - 85 - 265 - 95);
    EXPECT_EQ(members(paper, Split::train).size(), 2644u + 8035 + 2724);
    EXPECT_GT(parted_units(paper).size(), 1000u);
    EXPECT_EQ(members(paper, Split::test).size(), 4470u);
    EXPECT_EQ(shared_images(paper, Split::test, Split::train), 1988);
    EXPECT_EQ(open_dataset(spec, {.exclude_unknown = {"sex"}}).samples.size(), 22765u - 345);
}

TEST(Dataset, SharedHam10000) {
    if (!shared_folder()) GTEST_SKIP() << "no shared folder: set FP_SHARED";
    const std::string spec = "csv:" + shared_data("ham10000-200x150") + "/dataset.csv";
    const Dataset data = open_dataset(spec);
    EXPECT_EQ(data.samples.size(), 9012u);
    EXPECT_THAT(data.classes, ElementsAre("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"));
    EXPECT_EQ(class_counts(data)["nv"], 6035);
    EXPECT_EQ(members(data, Split::train).size(), 5403u);
    EXPECT_TRUE(parted_units(data).empty());
}

TEST(Dataset, SharedPadUfes) {
    if (!shared_folder()) GTEST_SKIP() << "no shared folder: set FP_SHARED";
    const std::string spec = "csv:" + shared_data("pad-ufes-20-lesions-128") + "/dataset.csv";
    const Dataset data = open_dataset(spec);
    EXPECT_EQ(data.samples.size(), 773u);
    EXPECT_EQ(class_counts(data)["BCC"], 472);
    EXPECT_TRUE(parted_units(data).empty());
    // lesion ids and patient ids: a split of our own keeps both whole
    const Dataset drawn = open_dataset(spec + ",split=none");
    EXPECT_TRUE(parted_units(drawn).empty());
}

TEST(Dataset, SharedFitzpatrick17k) {
    if (!shared_folder()) GTEST_SKIP() << "no shared folder: set FP_SHARED";
    const Folder folder;
    const std::string file = folder.string() + "/fitzpatrick17k.csv";
    const std::string packed = shared_data("fitzpatrick17k-annotations") + "/fitzpatrick17k.csv.gz";
    if (std::system(("gzip -dc '" + packed + "' > '" + file + "'").c_str()) != 0)
        GTEST_SKIP() << "gzip cannot unpack " << packed;
    const std::string spec = "fitzpatrick17k:" + file + ",images=/pictures";
    const Dataset data = open_dataset(spec);
    EXPECT_EQ(data.samples.size(), 16577u);
    EXPECT_EQ(data.classes.size(), 114u);
    EXPECT_TRUE(data.samples[0].image.ends_with(".jpg"));
    std::map<std::string, int> scale;
    for (const Sample& s : data.samples)
        ++scale[std::string(s.attributes[size_t(find_column(data.columns, "skin_tone"))])];
    EXPECT_EQ(scale, (std::map<std::string, int>{
                         {"-1", 565}, {"1", 2947}, {"2", 4808}, {"3", 3308}, {"4", 2781}, {"5", 1533}, {"6", 635}}));
    EXPECT_EQ(open_dataset(spec, {.exclude_qc = true}).samples.size(), 16577u - 17);
    EXPECT_EQ(open_dataset(spec, {.exclude_unknown = {"fitzpatrick_scale"}}).samples.size(), 16577u - 565);
    EXPECT_EQ(class_counts(open_dataset(spec + ",label=three_partition_label")),
              (std::map<std::string, int>{{"benign", 2234}, {"malignant", 2263}, {"non-neoplastic", 12080}}));
    EXPECT_EQ(members(open_dataset(spec + ",split=split_paper"), Split::test).size(), 1657u);
}

}  // namespace
}  // namespace fp
