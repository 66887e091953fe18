#include <gtest/gtest.h>

#include <fstream>

#include "engine/eval/judged.h"
#include "engine/eval/predict.h"
#include "engine/eval/predictions_file.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

using testing::expect_error;

Predictions parse(const std::string& text) { return predictions_of(parse_csv(text, "p.csv")); }

TEST(Predictions, ClassesComeFromTheProbabilityColumnsInTheirOrder) {
    const auto p = parse(
        "image,label,sex,split,prob_MEL,prob_NV,pred\n"
        "a.jpg,NV,male,test,0.25,0.75,MEL\n"
        "b.jpg,MEL,female,val,0.5,0.5,NV\n");
    EXPECT_EQ(p.classes, (std::vector<std::string>{"MEL", "NV"}));
    EXPECT_EQ(p.label, (std::vector<int>{1, 0}));
    EXPECT_EQ(p.pred, (std::vector<int>{0, 1}));  // the column, not the highest probability
    EXPECT_EQ(p.prob, (std::vector<double>{.25, .75, .5, .5}));
    EXPECT_EQ(p.columns, std::vector<std::string>{"sex"});
    EXPECT_EQ(p.attributes[0], (std::vector<std::string>{"male", "female"}));
    EXPECT_EQ(p.split, (std::vector<std::string>{"test", "val"}));
    EXPECT_EQ(p.unit, p.image);
}

TEST(Predictions, ProbabilitiesAloneSuffice) {
    const auto p = parse("image,label,prob_x,prob_y\na,x,.5,.5\nb,x,.4,.6\n");
    EXPECT_EQ(p.pred, (std::vector<int>{0, 1}));  // a tie goes to the first
}

TEST(Predictions, PredictionsAloneSuffice) {
    const auto p = parse("pred,label,image\n10,9,a\n2,10,b\n");
    EXPECT_EQ(p.classes, (std::vector<std::string>{"2", "9", "10"}));  // as numbers
    EXPECT_EQ(p.label, (std::vector<int>{1, 2}));
    EXPECT_EQ(p.pred, (std::vector<int>{2, 0}));
    EXPECT_FALSE(p.has_probabilities());
    EXPECT_EQ(p.split, (std::vector<std::string>{"", ""}));
}

TEST(Predictions, UnitIsTheLesionElseThePatientElseTheImage) {
    const auto p = parse("image,label,pred,patient_id,lesion_id\na,x,y,p1,l1\nb,y,y,p1,\nc,y,y,p2,l1\nd,y,y,p2,nan\n");
    EXPECT_EQ(p.unit, (std::vector<std::string>{"l1", "p1", "l1", "p2"}));
    EXPECT_EQ(unit_names(p), "lesion_id or patient_id");
    const auto q = parse("image,label,pred,patient_id\na,x,y,p1\nb,y,y,p1\n");
    EXPECT_EQ(q.unit, (std::vector<std::string>{"p1", "p1"}));
    EXPECT_EQ(unit_names(q), "patient_id");
    EXPECT_EQ(unit_names(parse("image,label,pred,lesion_id,patient\na,x,y,l1,p1\nb,y,y,,\n")), "lesion_id or image");
    EXPECT_EQ(unit_names(parse("image,label,pred\na,x,y\nb,y,y\n")), "image");
}

TEST(Predictions, RowsWithoutAnImageAreNumbered) {
    const auto p = parse("label,pred\nx,y\ny,y\n");
    EXPECT_EQ(p.image, (std::vector<std::string>{"row 1", "row 2"}));
    EXPECT_EQ(p.unit, p.image);
    EXPECT_EQ(parse("image_id,dx,pred\na,x,y\nb,y,y\n").image, (std::vector<std::string>{"a", "b"}));
}

TEST(Predictions, UnknownIsWhatItIsInADataSet) {
    const Table table = parse_csv("image,label,pred,sex,lesion_id\na,x,y,NK,7\nb,y,y,m,nk\n", "p.csv");
    const auto p = predictions_of(table, {"nk"});
    EXPECT_EQ(p.attributes[0], (std::vector<std::string>{"unknown", "m"}));
    EXPECT_EQ(p.unit, (std::vector<std::string>{"7", "b"}));
}

TEST(Predictions, AnySplitIsJudgedByItsName) {
    const auto p = parse("image,label,pred,split\na,x,y,training\nb,y,y,clinic 2\nc,y,x,Test\n");
    const auto judged = [&](const std::string& split) { return judged_rows(p, split).samples; };
    EXPECT_EQ(judged(""), (std::vector<int64_t>{2}));
    EXPECT_EQ(judged("clinic 2"), (std::vector<int64_t>{1}));
    EXPECT_EQ(judged("testing"), (std::vector<int64_t>{2}));
    EXPECT_EQ(judged("all").size(), 3u);
    EXPECT_EQ(judged_text(judged_rows(p, "clinic 2").judged), "judging 1 of 3 images (split clinic 2)");
    EXPECT_EQ(judged_text(judged_rows(p, "all").judged), "judging 3 of 3 images (all)");
    EXPECT_EQ(judged_text({.split = "all", .images = 3, .of = 3, .seen = 2, .seen_at_least = true}),
              "judging 3 of 3 images (all); the model has seen at least 2 of them in its training");
    expect_error(
        Exit::data, [&] { judged("val"); }, "clinic 2 1, test 1, train 1");
    const auto one = parse("image,label,pred,split\na,x,y,holdout\nb,y,y,holdout\n");
    EXPECT_EQ(judged_rows(one, "").judged.split, "holdout");
    const auto unnamed = parse("image,label,pred\na,x,y\n");
    EXPECT_EQ(judged_rows(unnamed, "").judged.split, "all");
    EXPECT_EQ(judged_rows(unnamed, "all").samples.size(), 1u);
    for (const char* split : {"test", "val", "nonsense"})
        expect_error(
            Exit::data, [&] { judged_rows(unnamed, split); }, split, "unnamed 1");
}

TEST(Predictions, ANamedSplitOfADataSetIsWrittenByItsName) {
    ImageData data{.set = {.classes = {"x", "y"},
                           .samples = {{.image = "a", .split = Split::other, .other_split = "external"},
                                       {.image = "b", .split = Split::val}}},
                   .source = {}};
    Predictions p = no_predictions(data);
    const float probabilities[] = {.25f, .75f};
    for (const int64_t sample : {0, 1}) add_prediction(p, data, sample, probabilities);
    const testing::TemporaryFolder folder;
    write_predictions(folder / "p.csv", p);
    EXPECT_EQ(judged_rows(predictions_of(read_csv(folder / "p.csv")), "external").samples, std::vector<int64_t>{0});
    EXPECT_EQ(p.split, (std::vector<std::string>{"external", "val"}));
}

TEST(Predictions, WrittenAndReadAgainTheyAreTheSame) {
    const testing::TemporaryFolder folder;
    const auto p = parse(
        "image,label,lesion_id,sex,split,prob_a,\"prob_b,c\",pred\n"
        "1.jpg,a,L1,\"x \"\"y\"\"\",test,0.1,0.9,a\n"
        "2.jpg,\"b,c\",,,val,0.3333333333333333,0.6666666666666667,\"b,c\"\n");
    write_predictions(folder / "p.csv", p);
    const auto q = predictions_of(read_csv(folder / "p.csv"));
    EXPECT_EQ(q.classes, p.classes);
    EXPECT_EQ(q.image, p.image);
    EXPECT_EQ(q.unit, p.unit);
    EXPECT_EQ(q.label, p.label);
    EXPECT_EQ(q.pred, p.pred);
    EXPECT_EQ(q.prob, p.prob);
    EXPECT_EQ(q.columns, p.columns);
    EXPECT_EQ(q.attributes, p.attributes);
    EXPECT_EQ(q.split, p.split);
}

TEST(Predictions, AnAttributeOfATakenNameIsWrittenUnderAnother) {
    const testing::TemporaryFolder folder;
    const auto p = parse("image,label,sex,site,pred,split\na,x,f,1,x,test\nb,y,m,2,x,test\n");
    Predictions odd = p;
    odd.columns = {"split", "prob_x"};
    write_predictions(folder / "p.csv", odd);
    const auto q = predictions_of(read_csv(folder / "p.csv"));
    EXPECT_EQ(q.columns, (std::vector<std::string>{"data_split", "data_prob_x"}));
    EXPECT_EQ(q.attributes, p.attributes);
    EXPECT_EQ(q.split, p.split);
}

TEST(Predictions, OneSplitIsTakenOut) {
    const auto p = parse("image,label,pred,split\na,x,y,train\nb,y,y,test\nc,y,x,test\n");
    EXPECT_EQ(of_split(p, "test").image, (std::vector<std::string>{"b", "c"}));
    EXPECT_EQ(of_split(p, "test").pred, (std::vector<int>{1, 0}));
    expect_error(
        Exit::data, [&] { of_split(p, "val"); }, "test 2", "train 1");
    const auto whole = parse("image,label,pred\na,x,y\nb,y,y\n");
    EXPECT_EQ(of_split(whole, "test").size(), 2);
}

TEST(Predictions, WhatCannotBeReadIsNamedWithItsLine) {
    const auto refuse = [](const std::string& text, const std::string& a, const std::string& b) {
        expect_error(
            Exit::data, [&] { parse(text); }, a, b);
    };
    refuse("image,label\na,x\n", "p.csv", "pred");
    refuse("image,pred\na,x\n", "p.csv", "label");
    refuse("image,label,pred\n", "p.csv", "no row");
    refuse("image,label,pred\na,x,x\nb,x,x\n", "p.csv", "1 class");
    refuse("image,label,pred\na,x,y\na,y,y\n", "p.csv:3", "line 2");
    refuse("image,label,pred\na,x,y\nb,,y\n", "p.csv:3", "label is ''");
    refuse("image,label,pred\na,x,y\nb,y,NaN\n", "p.csv:3", "pred is 'NaN'");
    refuse("image,label,prob_x,prob_y\na,x,.5,.5\nb,z,.5,.5\n", "p.csv:3", "'z'");
    refuse("image,label,prob_x,prob_y,pred\na,x,.5,.5,q\n", "p.csv:2", "'q'");
    for (const char* bad : {"nan", "inf", "-0.1", "1.5", "", "0.5x", "0x1p-1", "1e400"})
        refuse(std::string("image,label,prob_x,prob_y\na,x,") + bad + ",.5\n", "p.csv:2", "prob_x");
    refuse("image,label,prob_x,prob_y\na,x,.1,.2\n", "p.csv:2", "sum to 0.3");
}

}  // namespace
}  // namespace fp
