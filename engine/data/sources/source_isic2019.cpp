// isic2019:DIR[,images=DIR]
//
// The training set as published: ISIC_2019_Training_GroundTruth.csv (image, one column of 0.0 and 1.0 for each
// class, UNK), ISIC_2019_Training_Metadata.csv (image, age_approx, anatom_site_general, lesion_id, sex, in
// any order and under any usual names) and IMAGE.jpg in DIR/ISIC_2019_Training_Input or in DIR.
// UNK is no class: only the challenge's test set has it, and such rows are left out.
#include <filesystem>
#include <map>

#include "engine/data/sources/sources.h"
#include "kernels/error.h"

namespace fp {
namespace {

namespace fs = std::filesystem;

// The column that is set in a row of the ground truth.
std::string class_of(const Table& truth, size_t r, const std::vector<size_t>& columns) {
    std::vector<std::string> set;
    for (const size_t column : columns) {
        const std::string_view cell = truth.rows[r][column];
        const bool one = cell == "1.0" || cell == "1";
        FP_REQUIRE(one || cell == "0.0" || cell == "0", Exit::data, truth.name, ":", truth.lines[r], ": '", cell,
                   "' under ", truth.header[column], ", wants 0.0 or 1.0");
        if (one) set.push_back(truth.header[column]);
    }
    FP_REQUIRE(set.size() == 1, Exit::data, truth.name, ":", truth.lines[r], ": ", set.size(),
               " classes are set, wants one");
    return set[0];
}

// The rows of the metadata by image.
std::map<std::string_view, size_t> rows_by_image(const Table& about, size_t image) {
    std::map<std::string_view, size_t> row_of;
    for (size_t r = 0; r < about.rows.size(); ++r) {
        const auto [place, added] = row_of.emplace(about.rows[r][image], r);
        FP_REQUIRE(added, Exit::data, about.name, ":", about.lines[r], ": image ", place->first, " is on line ",
                   about.lines[place->second], " already");
    }
    return row_of;
}

Listing list_isic2019(const DataSpec& spec, const DatasetOptions&) {
    const fs::path folder = spec.head;
    const Table truth = read_csv(folder / "ISIC_2019_Training_GroundTruth.csv");
    const Table about = read_csv(folder / "ISIC_2019_Training_Metadata.csv");
    const fs::path published = folder / "ISIC_2019_Training_Input";
    Listing listing{.table = {.header = {"image", "label"}, .name = truth.name},
                    .root = spec.value("images", fs::is_directory(published) ? published.string() : spec.head),
                    .extension = ".jpg",
                    .classes = {"MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC"}};
    std::vector<size_t> columns;
    for (const std::string& name : listing.classes) columns.push_back(need_column(truth, name));
    if (const int unknown = truth.column("UNK"); unknown >= 0) columns.push_back(size_t(unknown));
    const size_t truth_image = need_column(truth, "image"), about_image = need_column(about, "image");
    const auto row_of = rows_by_image(about, about_image);
    for (size_t c = 0; c < about.header.size(); ++c)
        if (c != about_image) listing.table.header.push_back(about.header[c]);

    int64_t without_class = 0, without_metadata = 0;
    for (size_t r = 0; r < truth.rows.size(); ++r) {
        const std::string_view image = truth.rows[r][truth_image];
        const std::string label = class_of(truth, r, columns);
        if (label == "UNK") {
            ++without_class;
            continue;
        }
        const auto found = row_of.find(image);
        without_metadata += found == row_of.end();
        Cells row{image, label};
        for (size_t c = 0; c < about.header.size(); ++c)
            if (c != about_image) row.push_back(found == row_of.end() ? "" : about.rows[found->second][c]);
        listing.table.rows.push_back(std::move(row));
        listing.table.lines.push_back(truth.lines[r]);
    }
    if (without_class > 0) listing.notes.push_back(text("left out ", without_class, " images of the class UNK"));
    if (without_metadata > 0)
        listing.notes.push_back(text(without_metadata, " images have no line in ", about.name, ": unknown attributes"));
    return listing;
}

}  // namespace

namespace sources {
extern const Source isic2019{.name = "isic2019",
                             .says = "isic2019:DIR",
                             .opens = "The training set of ISIC 2019 as published: two tables and IMAGE.jpg.",
                             .keys = {{"images", "folder of images (default: DIR/ISIC_2019_Training_Input, DIR)"}},
                             .list = list_isic2019};
}

}  // namespace fp
