// What a specification and the options beside it may say about a table.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/data/dataset.h"
#include "engine/data/split.h"
#include "engine/io/columns.h"
#include "tests/data/folder.h"
#include "tests/expect_error.h"

namespace fp {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using ::testing::HasSubstr;

auto opening(const std::string& spec, const DatasetOptions& options = {}) {
    return [=] { open_dataset(spec, options); };
}

TEST(Specification, PathsMayHoldCommas) {
    const Folder folder;
    const std::string file = folder.write("a,b/t,1.csv", "image,label\nx,y\n");
    EXPECT_EQ(open_dataset("csv:" + file).samples.size(), 1u);
    EXPECT_EQ(open_dataset("csv:" + file + ",images=/p,q/r").root, "/p,q/r");
}

TEST(Specification, PathsMayHoldEqualsSigns) {
    const Folder folder;
    const std::string file = folder.write("x,seed=1/a=b,c=d.csv", "image,label\nx,y\n");
    EXPECT_EQ(open_dataset("csv:" + file).samples.size(), 1u);
    EXPECT_EQ(open_dataset("csv:" + file + ",images=" + folder.string() + "/x,seed=1,ext=.png").samples[0].image,
              "x.png");
    EXPECT_EQ(open_dataset("csv:" + file + ",images=" + folder.string() + "/x,seed=1").root,
              folder.string() + "/x,seed=1");
    folder.write("k,label=2/nv/1.png", "");
    EXPECT_EQ(open_dataset("folder:" + folder.string() + "/k,label=2").samples.size(), 1u);
    expect_error(Exit::usage, opening("folder:" + folder.string() + "/k,label=3"), "no key 'label'");
}

TEST(Specification, OtherNamesOfSplitsAreForJudging) {
    const Folder folder;
    const std::string text = "image,label,split\na,x,train\nb,y,train\nc,x,val\nd,y,clinic 2\ne,y, clinic 2 \n";
    const Dataset data = open_dataset("csv:" + folder.write("t.csv", text));
    EXPECT_EQ(members(data, Split::other).size(), 2u);
    EXPECT_EQ(split_name(data.samples[4]), "clinic 2");
    EXPECT_THAT(data.notes, ElementsAre(HasSubstr("2 images of the split clinic 2")));
    EXPECT_EQ(split_table(data).rows[3][2], "clinic 2");
}

TEST(Specification, WordsForUnknownAreAdded) {
    const Folder folder;
    const std::string spec = "csv:" + folder.write("t.csv",
                                                   "image,label,sex,lesion_id,patient_id\n"
                                                   "a,x,m,L1,P1\nb,y, Missing,999,P1\nc,y,?,999,\n");
    const Dataset data = open_dataset(spec, {.unknown = {"missing", "999"}});
    EXPECT_EQ(data.samples[1].unit, "P1") << "the lesion is unknown, so the patient counts";
    EXPECT_EQ(data.samples[2].unit, "c");
    EXPECT_EQ(group_by(data, "sex").of, (std::vector<int>{0, -1, -1}));
    EXPECT_EQ(open_dataset(spec, {.unknown = {"missing"}, .exclude_unknown = {"sex"}}).samples.size(), 1u);
}

TEST(Specification, NamesTheKeyThatHelps) {
    const Folder folder;
    const std::string file = folder.write("t.csv", "picture,target\na,x\n");
    expect_error(Exit::data, opening("csv:" + file), "no column 'image'", "image=COLUMN");
    expect_error(Exit::data, opening("csv:" + file + ",image=picture"), "no column 'label'", "label=COLUMN");
    EXPECT_EQ(open_dataset("csv:" + file + ",image=picture,label=target").samples.size(), 1u);
}

TEST(Specification, KnowsTheUsualOtherNames) {
    const Folder folder;
    const std::string file =
        folder.write("HAM10000_metadata.csv",
                     "lesion_id,image_id,dx,dx_type,age,sex,localization\n"
                     "HAM_1,ISIC_1,bkl,histo,80.0,male,scalp\nHAM_1,ISIC_2,nv,histo,,unknown,ear\n");
    const Dataset data = open_dataset("csv:" + file + ",ext=.jpg");
    EXPECT_THAT(data.classes, ElementsAre("bkl", "nv"));
    EXPECT_EQ(data.samples[0].image, "ISIC_1.jpg");
    EXPECT_EQ(data.samples[0].unit, data.samples[1].unit);
    EXPECT_EQ(data.samples[0].split, data.samples[1].split);
    EXPECT_EQ(find_column(data.columns, "site"), 4);
    EXPECT_EQ(find_column(data.columns, "gender"), 3);
    EXPECT_EQ(find_column(data.columns, "skin_tone"), -1);
}

}  // namespace
}  // namespace fp
