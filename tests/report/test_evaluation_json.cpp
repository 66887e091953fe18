#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/eval/predictions_file.h"
#include "engine/report/evaluation.h"

namespace fp {
namespace {

// Two predictions of each class, the second of them wrong by one class.
nlohmann::json evaluated(int classes) {
    std::string rows = "image,label,sex,pred\n";
    for (int i = 0; i < 2 * classes; ++i)
        rows += text(i, ",", i / 2, ",", i % 2 ? "m" : "f", ",", i % 2 ? (i / 2 + 1) % classes : i / 2, "\n");
    const Predictions p = predictions_of(parse_csv(rows, "p.csv"));
    Evaluation evaluation = evaluation_of(p, nullptr, {"sex"}, {.resamples = 0});
    evaluation.judged = judged_rows(p, "").judged;
    return nlohmann::json::parse(json_text(evaluation, std::nullopt));
}

TEST(EvaluationJson, TheConfusionOfManyClassesIsAListOfItsCells) {
    const nlohmann::json few = evaluated(200), many = evaluated(201);
    EXPECT_EQ(few["confusion"].size(), 200u);
    EXPECT_FALSE(few.contains("confusion_cells"));
    EXPECT_FALSE(many.contains("confusion"));
    ASSERT_EQ(many["confusion_cells"].size(), 402u) << "of 40,401";
    EXPECT_EQ(many["confusion_cells"][1], (nlohmann::json{0, 1, 1}));
    EXPECT_EQ(many["attributes"]["sex"]["groups"]["f"]["confusion_cells"].size(), 201u);
}

TEST(EvaluationJson, SaysWhatIsJudged) {
    EXPECT_EQ(evaluated(3)["judged"],
              (nlohmann::json{{"split", "all"}, {"images", 6}, {"of", 6}, {"notes", nlohmann::json::array()}}));
}

}  // namespace
}  // namespace fp
