// How pages look in a browser: no text over or beside its place, none too pale to read, lines that are lines, nothing
// wider than a telephone. tests/report/look does the looking.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>

#include "engine/report/page.h"
#include "tests/report/samples.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::sample;

class Looks : public ::testing::Test {
protected:
    const testing::TemporaryFolder folder_;
    std::string pages_;

    void add(const std::string& name, const std::string& page) {
        write_file(folder_ / (name + ".html"), page);
        pages_ += " '" + (folder_ / (name + ".html")).string() + "'";
    }
    // What was found on the pages that were added; nothing, and the test is skipped, where there is no Chromium.
    std::string found() {
        const std::string report = (folder_ / "found").string();
        const std::string command =
            "python3 '" + (source_dir() / "tests/report/look").string() + "'" + pages_ + " > '" + report + "'";
        const int code = WEXITSTATUS(std::system(command.c_str()));
        const std::string text = read_file(report, 16 << 20);
        EXPECT_TRUE(code == 77 || code == int(!text.empty())) << "exit " << code;
        if (code == 77) skipped_ = true;
        return code == 77 ? "" : text;
    }
    bool skipped_ = false;
};

// A search of many points that lie close together.
nlohmann::ordered_json crowded_search() {
    nlohmann::ordered_json crowded = sample("search");
    nlohmann::ordered_json& points = crowded["sweep"]["points"];
    for (int i = 0; i < 24; ++i) {
        nlohmann::ordered_json point = points[size_t(2 + i % 2)];
        point["criterion"] = std::vector{"l1", "l2", "bn", "fpgm", "taylor", "snnl", "skewness"}[size_t(i % 7)];
        point["name"] = point["criterion"].get<std::string>() + " " + std::to_string(10 + i) + "%, tuned alike";
        const double figure = 0.2 + 0.001 * (i * 7 % 24);
        point["val"]["balanced_accuracy"] = {{"mean", figure}, {"low", nullptr}, {"high", nullptr}};
        point["val"]["objective"] = {{"mean", -figure * figure}, {"low", nullptr}, {"high", nullptr}};
        points.push_back(point);
    }
    return crowded;
}

// Eight classes, names that are long, large numbers.
nlohmann::ordered_json wide_run() {
    nlohmann::ordered_json wide = sample("run");
    const std::vector<std::string> classes{"MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "squamous cell carcinoma"};
    const std::vector<std::vector<int>> counts(8, std::vector{1234, 17, 0, 0, 1, 1, 254, 12875});
    for (const char* side : {"dense", "pruned"}) {
        nlohmann::ordered_json& test = wide["test"][side];
        test["classes"] = classes;
        test["confusion"] = counts;
        nlohmann::ordered_json attribute = test["attributes"]["group"];
        for (auto& [name, group] : attribute["groups"].items()) group["confusion"] = counts;
        test["attributes"]["age_approx:30:60*anatom_site_general"] = attribute;
    }
    wide["data"] = "csv:/" + std::string(200, 'x') + "/skin.csv";
    nlohmann::ordered_json layer = wide["layers"][3];
    layer.update({{"layer", "features.denseblock4.denselayer12.conv2"}, {"parameters", {23508032, 11776516}}});
    wide["layers"].push_back(layer);
    return wide;
}

TEST_F(Looks, NothingIsFoundOnAnyPage) {
    for (const char* name : testing::kSamples) add(name, report_page(sample(name)));
    add("threshold", report_page(testing::at_a_threshold()));
    add("crowded", report_page(crowded_search()));
    add("wide", report_page(wide_run()));
    const std::string text = found();
    if (skipped_) GTEST_SKIP() << "no Chromium (Debian: chromium) to draw the pages";
    EXPECT_EQ(text, "");
}

TEST_F(Looks, WhatAReaderStumblesOverIsFound) {
    const auto with = [](const std::string& body) {
        return "<!doctype html><body style='background:#fff;color:#222'>" + body;
    };
    add("filled", with("<svg width=300 height=100><polyline points='0,0 100,90 200,10'/></svg>"));
    add("over", with("<figure><svg width=300 height=100><text x=10 y=20>first label</text><text x=40 y=22>second "
                     "label</text></svg></figure>"));
    add("pale", with("<p style='color:#aaa'>pale words"));
    add("cut", with("<div class=tile style='width:4rem'><b style='white-space:nowrap'>0.722 to 0.694</b></div>"));
    add("wide", with("<div style='width:500px'>wide</div>"));
    const std::string text = found();
    if (skipped_) GTEST_SKIP() << "no Chromium (Debian: chromium) to draw the pages";
    for (const char* fault :
         {"filled.html light: a line that is filled", "over.html light: text over text: <text> \"first label\"",
          "pale.html dark: text that is hard to read", "cut.html print: text that leaves its box",
          "wide.html phone: wider than the window: 508 of 390 pixels"})
        EXPECT_THAT(text, HasSubstr(fault));
    EXPECT_THAT(text, Not(HasSubstr("wide.html light")));
}

}  // namespace
}  // namespace fp
