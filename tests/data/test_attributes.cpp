#include "engine/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/folder.h"
#include "tests/data/table_columns.h"
#include "tests/expect_error.h"
#include "tests/shared.h"

namespace fp {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;

const Table kPeople = parse_csv(
    "gender,age_approx,tone,one\n"
    "male,60,10,x\n"
    "female,59.5,9,x\n"
    ",0,-1,x\n"
    "Unknown,85.0,9,\n"
    " male ,nan,2,na\n"
    "female, 30 ,10,NA\n",
    "people.csv");

TEST(Attributes, OneGroupAValue) {
    const Grouping sex = group_by(attribute_columns(kPeople), "sex");
    EXPECT_EQ(sex.name, "sex");
    EXPECT_THAT(sex.groups, ElementsAre("female", "male"));
    EXPECT_THAT(sex.of, ElementsAre(1, 0, -1, -1, 1, 0));
    EXPECT_THAT(group_sizes(sex), ElementsAre(2, 2, 2));
    const Grouping tone = group_by(attribute_columns(kPeople), "tone");
    EXPECT_THAT(tone.groups, ElementsAre("2", "9", "10"));
    EXPECT_THAT(tone.of, ElementsAre(2, 1, -1, 1, 0, 2));
}

TEST(Attributes, ANumberIsOneGroupHoweverItIsWritten) {
    const Table tones = parse_csv("tone,code\n4.0,4\n4,4.0\n,x\n3,4\n4.5,3\n", "t.csv");
    const Grouping tone = group_by(attribute_columns(tones), "tone");
    EXPECT_THAT(tone.groups, ElementsAre("3", "4", "4.5"));
    EXPECT_THAT(tone.of, ElementsAre(1, 1, -1, 0, 2));
    EXPECT_THAT(group_by(attribute_columns(tones), "code").groups, ElementsAre("3", "4", "x"));
    const Table part = parse_csv("tone\n4.00\n-0.50\n10\n1.e5\n", "t.csv");  // the same name in a part of the data
    EXPECT_THAT(group_by(attribute_columns(part), "tone").groups, ElementsAre("-0.5", "4", "10", "1.e5"));
}

TEST(Attributes, CutsANumber) {
    const Grouping two = group_by(attribute_columns(kPeople), "age:60");
    EXPECT_THAT(two.groups, ElementsAre("<60", ">=60"));
    EXPECT_THAT(two.of, ElementsAre(1, 0, 0, 1, -1, 0));
    const Grouping three = group_by(attribute_columns(kPeople), "age:30:60");
    EXPECT_THAT(three.groups, ElementsAre("<30", "30-60", ">=60"));
    EXPECT_THAT(three.of, ElementsAre(2, 1, 0, 2, -1, 1));
    EXPECT_THAT(group_by(attribute_columns(kPeople), "age:200").groups, ElementsAre("<200", ">=200"));
}

TEST(Attributes, CrossesFactors) {
    const Grouping both = group_by(attribute_columns(kPeople), "sex*age:60");
    EXPECT_EQ(both.name, "sex*age:60");
    EXPECT_THAT(both.groups, ElementsAre("female*<60", "female*>=60", "male*<60", "male*>=60"));
    EXPECT_THAT(both.of, ElementsAre(3, 0, -1, -1, -1, 0));
    EXPECT_EQ(group_by(attribute_columns(kPeople), "sex*age:60*tone").groups.size(), 12u);
}

TEST(Attributes, WordsForUnknown) {
    const Table table = parse_csv("sex\nmale\nUNK\n<NA>\n#N/A\nn/a\nfemale\n", "t.csv");
    EXPECT_THAT(group_by(attribute_columns(table), "sex").of, ElementsAre(1, -1, -1, -1, -1, 0));
}

TEST(Attributes, UnknownMayCountAsAGroup) {
    EXPECT_THAT(group_by(attribute_columns(kPeople), "sex?last").of, ElementsAre(1, 0, 1, 1, 1, 0));
    EXPECT_THAT(group_by(attribute_columns(kPeople), "age:60?first").of, ElementsAre(1, 0, 0, 1, 0, 0));
    EXPECT_THAT(group_by(attribute_columns(kPeople), "sex?last*age:60").of, ElementsAre(3, 0, 2, 3, -1, 0));
}

TEST(Attributes, RefusesWithTheReason) {
    const auto by = [](const char* spec) { return [=] { group_by(attribute_columns(kPeople), spec); }; };
    expect_error(Exit::data, by("site"), "people.csv: no attribute 'site', only gender, age_approx");
    expect_error(Exit::data, by("tones"), "people.csv: no attribute 'tones'", "the nearest is tone");
    expect_error(Exit::data, by("sex:60"), "sample 0: the attribute sex is 'male', which is not a number");
    for (const char* spec :
         {"", "*", "sex*", ":60", "age:", "age:sixty", "age:60:30", "age:60:60", "age:nan", "sex?other", "sex?"})
        expect_error(Exit::usage, by(spec), "--attribute");
}

TEST(Attributes, AValueThatIsNoNumberIsNamedWithItsLine) {
    const Folder folder;
    const std::string file = folder.write("t.csv", "image,label,age\na,x,40\nb,x,na\nc,x,85+\n");
    const Dataset data = open_dataset("csv:" + file, {.exclude_unknown = {"age"}});
    expect_error(
        Exit::data, [&] { group_by(data, "age:60"); }, file + ":4: the attribute age is '85+'");
}

TEST(Attributes, AGapNeedsTwoGroups) {
    EXPECT_NO_THROW(require_comparable(group_by(attribute_columns(kPeople), "sex")));
    expect_error(
        Exit::data, [] { require_comparable(group_by(attribute_columns(kPeople), "one")); },
        "attribute one: only one group, x (3) among 6 samples with 3 unknown");
    expect_error(
        Exit::data, [] { require_comparable(group_by(attribute_columns(kPeople), "age:200")); },
        "only one group, <200 (5)");
    const Grouping nobody{.name = "n", .groups = {}, .of = {-1, -1}};
    expect_error(
        Exit::data, [&] { require_comparable(nobody); }, "every value is unknown");
    Grouping many{.name = "id", .groups = std::vector<std::string>(51, "x"), .of = {}};
    expect_error(
        Exit::data, [&] { require_comparable(many); }, "51 groups among ", "at most 50");
}

TEST(Attributes, WarningsComeBeforeTheWork) {
    const Folder folder;
    const std::string file = folder.write(
        "t.csv", "image,label,age,sex,split\na,x,40,,train\nb,x,na,f,test\nc,y,85,f,train\nd,y,9,m,test\n");
    const Dataset data = open_dataset("csv:" + file);
    const AttributeColumns train = attribute_columns(data, members(data, Split::train));
    EXPECT_THAT(group_warnings(train, {"age:60"}), ::testing::IsEmpty());
    EXPECT_THAT(
        group_warnings(train, {"age:60", "sex", "age:600"}),
        ElementsAre("attribute sex: only one group, f (1) among 2 samples with 1 unknown; a gap needs two",
                    "attribute age:600: only one group, <600 (2) among 2 samples with 0 unknown; a gap needs two"));
    const Table cases = parse_csv("sex\nmale\nfemale\nMale\n", "c.csv");
    EXPECT_THAT(group_warnings(attribute_columns(cases), {"sex"}),
                ElementsAre("attribute sex: the groups Male and male differ in case alone"));
    expect_error(
        Exit::data, [&] { group_warnings(train, {"sexe"}); }, file + ": no attribute 'sexe'", "the nearest is sex");
    expect_error(
        Exit::data, [&] { group_warnings(attribute_columns(data, members(data, Split::test)), {"sex:60"}); },
        file + ":3: the attribute sex is 'f', which is not a number");
}

TEST(Attributes, AWordForUnknownThatNoCellIsIsNoted) {
    const Folder folder;
    const std::string file = folder.write("t.csv", "image,label,sex\na,x,keine Angabe\nb,y,f\n");
    EXPECT_THAT(open_dataset("csv:" + file, {.unknown = {"Keine Angabe"}}).notes,
                ::testing::Not(::testing::Contains(::testing::HasSubstr("--unknown"))));
    EXPECT_THAT(open_dataset("csv:" + file, {.unknown = {"Keine Angabe", "kine Angabe"}}).notes,
                ::testing::Contains("--unknown `kine Angabe`: no cell of " + file + " is that"));
}

// The counts of the shared copies' READMEs.
TEST(Attributes, SharedData) {
    if (!shared_folder()) GTEST_SKIP() << "no shared folder: set FP_SHARED";
    const auto open = [](const char* set) {
        return open_dataset("csv:" + (*shared_folder() / "data" / set / "dataset.csv").string());
    };
    const Dataset isic = open("isic2019-84"), ham = open("ham10000-200x150"), pad = open("pad-ufes-20-lesions-128");
    EXPECT_THAT(group_sizes(group_by(isic, "sex")), ElementsAre(10475, 11945, 345));
    EXPECT_THAT(group_sizes(group_by(isic, "age:60")), ElementsAre(12678, 9695, 392));
    EXPECT_THAT(group_sizes(group_by(isic, "age:30")), ElementsAre(1590, 20783, 392));
    EXPECT_THAT(group_sizes(group_by(ham, "sex")), ElementsAre(4105, 4854, 53));
    EXPECT_THAT(group_sizes(group_by(ham, "age:30:60")), ElementsAre(610, 5734 - 610, 3225, 53));
    EXPECT_THAT(group_sizes(group_by(pad, "skin_tone")), ElementsAre(106, 476, 158, 30, 3, 0));
    EXPECT_THAT(group_sizes(group_by(isic, "sex*age:60")), ElementsAre(6731, 3721, 5947, 5974, 392));
    expect_error(
        Exit::data, [&] { require_comparable(group_by(isic, "skin_tone")); }, "every value is unknown");
}

}  // namespace
}  // namespace fp
