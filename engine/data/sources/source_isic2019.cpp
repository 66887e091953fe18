// isic2019:DIR[,images=DIR]
//
// The training set as published: ISIC_2019_Training_GroundTruth.csv (image, one column of 0.0 and 1.0 for each
// class, UNK), ISIC_2019_Training_Metadata.csv (image, age_approx, anatom_site_general, lesion_id, sex, in
// whatever order and under whatever usual names) and IMAGE.jpg in DIR/ISIC_2019_Training_Input or in DIR.
// UNK is no class: it is set in the challenge's test set alone, and such rows are left out.
#include <filesystem>
#include <map>

#include "engine/data/sources/sources.h"
#include "engine/io/columns.h"
#include "kernels/error.h"

namespace fp {
namespace {

const std::vector<std::string> kClasses = {"MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC"};

bool is_set(const Table& truth, size_t row, int column) {
    const std::string& cell = truth.rows[row][size_t(column)];
    const bool one = cell == "1.0" || cell == "1", zero = cell == "0.0" || cell == "0";
    FP_REQUIRE(one || zero, Exit::data, truth.name, ":", truth.lines[row], ": '", cell, "' under ",
               truth.header[size_t(column)], ", wants 0.0 or 1.0");
    return one;
}

}  // namespace

Listing list_isic2019(const DataSpec& spec) {
    check_keys(spec, {"images"});
    const std::filesystem::path folder = spec.head;
    const Table truth = read_csv(folder / "ISIC_2019_Training_GroundTruth.csv");
    const Table about = read_csv(folder / "ISIC_2019_Training_Metadata.csv");

    Listing listing{
        .table = {.header = {"image", "label"}, .rows = {}, .lines = {}, .name = truth.name},
        .image = 0,
        .label = 1,
        .split = -1,
        .root = (folder / "ISIC_2019_Training_Input").string(),
        .extension = ".jpg",
        .classes = kClasses,
        .notes = {}};
    if (spec.values.contains("images"))
        listing.root = spec.values.at("images");
    else if (!std::filesystem::is_directory(listing.root))
        listing.root = folder.string();

    std::vector<int> classes;
    for (const std::string& name : kClasses) classes.push_back(need_column(truth, name));
    const int unknown = truth.column("UNK");
    const size_t truth_image = size_t(need_column(truth, "image"));

    const size_t about_image = size_t(need_column(about, "image"));
    std::vector<size_t> attributes;
    for (size_t c = 0; c < about.header.size(); ++c) {
        if (c == about_image) continue;
        attributes.push_back(c);
        listing.table.header.push_back(about.header[c]);
    }
    std::map<std::string_view, size_t> row_of;
    for (size_t r = 0; r < about.rows.size(); ++r) {
        const auto [place, added] = row_of.emplace(about.rows[r][about_image], r);
        FP_REQUIRE(added, Exit::data, about.name, ":", about.lines[r], ": image ", place->first,
                   " stands on line ", about.lines[place->second], " already");
    }

    int64_t without_class = 0, without_metadata = 0;
    for (size_t r = 0; r < truth.rows.size(); ++r) {
        std::vector<std::string> labels;
        for (size_t c = 0; c < kClasses.size(); ++c)
            if (is_set(truth, r, classes[c])) labels.push_back(kClasses[c]);
        if (labels.empty() && unknown >= 0 && is_set(truth, r, unknown)) {
            ++without_class;
            continue;
        }
        FP_REQUIRE(labels.size() == 1, Exit::data, truth.name, ":", truth.lines[r], ": ",
                   labels.size(), " classes are set, wants one");
        const std::string& image = truth.rows[r][truth_image];
        std::vector<std::string> row = {image, labels.front()};
        const auto found = row_of.find(image);
        without_metadata += found == row_of.end();
        for (const size_t c : attributes)
            row.push_back(found == row_of.end() ? "" : about.rows[found->second][c]);
        listing.table.rows.push_back(std::move(row));
        listing.table.lines.push_back(truth.lines[r]);
    }
    if (without_class > 0)
        listing.notes.push_back(text("left out ", without_class, " images of the class UNK"));
    if (without_metadata > 0)
        listing.notes.push_back(
            text(without_metadata, " images have no line in ", about.name, ": unknown attributes"));
    return listing;
}

}  // namespace fp
