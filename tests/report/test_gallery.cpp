// Which mistakes a gallery shows, and what reports call their data.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/report/gallery.h"
#include "engine/report/page.h"
#include "engine/report/title.h"
#include "tests/report/samples.h"

namespace fp {
namespace {

using ::testing::HasSubstr;

// Six generated images of two groups: 0 is right, 1 to 5 are wrong with rising probability.
Predictions six(const Dataset& set) {
    Predictions p;
    p.classes = set.classes;
    p.columns = {"side"};
    p.attributes.resize(1);
    for (int i = 0; i < 6; ++i) {
        const double wrong = i == 0 ? 0.1 : 0.5 + 0.05 * i;
        p.image.push_back(set.samples[size_t(i)].image);
        p.unit.push_back(p.image.back());
        p.label.push_back(0);
        p.pred.push_back(i > 0);
        p.prob.insert(p.prob.end(), {1 - wrong, wrong});
        p.attributes[0].push_back(i % 2 ? "left" : "right");
        p.split.push_back("test");
    }
    return p;
}

TEST(Gallery, ShowsTheSurestMistakesOfEachGroup) {
    const ImageData data = open_images("synth:n=20,size=16,classes=2,groups=2", {.image_size = 16});
    const Predictions p = six(data.set);
    EXPECT_TRUE(gallery_of(p, data, {"side"}, 0).groups.empty());
    const Gallery gallery = gallery_of(p, data, {"side"}, 2);
    ASSERT_EQ(gallery.groups.size(), 2u);
    const Gallery::Group &left = gallery.groups[0], &right = gallery.groups[1];
    EXPECT_EQ(left.name, "left");
    ASSERT_EQ(left.mistakes.size(), 2u);
    EXPECT_EQ(left.mistakes[0].image, p.image[5]);
    EXPECT_NEAR(left.mistakes[0].probability, 0.75, 1e-12);
    EXPECT_EQ(left.mistakes[1].image, p.image[3]);
    EXPECT_EQ(right.mistakes[0].image, p.image[4]);
    EXPECT_EQ(right.mistakes[0].label, data.set.classes[0]);
    EXPECT_EQ(right.mistakes[0].predicted, data.set.classes[1]);
    EXPECT_THAT(right.mistakes[0].png, HasSubstr("PNG"));
    EXPECT_EQ(gallery_of(p, data, {}, 9).groups.at(0).mistakes.size(), 5u);
}

TEST(Gallery, StandsInThePageAsBase64) {
    Gallery gallery;
    for (const char* bytes : {"", "f", "fo", "foo", "foob"})  // RFC 4648, section 10
        gallery.groups.push_back({"a", "b", {{.image = "x", .label = "y", .predicted = "z", .png = bytes}}});
    const std::string page = report_page(testing::sample("run"), gallery);
    for (const char* text : {"base64,\"", "base64,Zg==\"", "base64,Zm8=\"", "base64,Zm9v\"", "base64,Zm9vYg==\""})
        EXPECT_THAT(page, HasSubstr(text));
    EXPECT_EQ(report_page(testing::sample("run"), {}), report_page(testing::sample("run")));
}

TEST(Title, NamesDataInFewWords) {
    EXPECT_EQ(data_words("synth:n=700,size=32"), "generated images");
    EXPECT_EQ(data_words("isic2019:/data/isic"), "ISIC 2019");
    EXPECT_EQ(data_words("fitzpatrick17k:a/b.csv,images=x"), "Fitzpatrick17k");
    EXPECT_EQ(data_words("csv:/data/a,b/skin.csv,images=/c/d,ext=.jpg"), "skin.csv");
    EXPECT_EQ(data_words("folder:/data/skin/"), "the folder skin");
}

}  // namespace
}  // namespace fp
