// isic2019:DIR[,images=DIR]
//
// The training set as published: ISIC_2019_Training_GroundTruth.csv (image, one column of 0.0 and 1.0 for each
// class, UNK), ISIC_2019_Training_Metadata.csv (image, age_approx, anatom_site_general, lesion_id, sex, in
// any order and under any usual names) and IMAGE.jpg in DIR/ISIC_2019_Training_Input or in DIR.
// UNK is no class: it is set in the challenge's test set alone, and such rows are left out.
#include <array>
#include <filesystem>
#include <map>

#include "engine/data/sources/sources.h"
#include "engine/io/columns.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr std::array<std::string_view, 1> kKeys{"images"};
const std::vector<std::string> kClasses = {"MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC"};

bool is_set(const Table& truth, size_t row, int column) {
    const std::string& cell = truth.rows[row][size_t(column)];
    const bool one = cell == "1.0" || cell == "1", zero = cell == "0.0" || cell == "0";
    FP_REQUIRE(one || zero, Exit::data, truth.name, ":", truth.lines[row], ": '", cell, "' under ",
               truth.header[size_t(column)], ", wants 0.0 or 1.0");
    return one;
}

std::string folder_of_images(const DataSpec& spec) {
    if (spec.values.contains("images")) return spec.values.at("images");
    const auto published = std::filesystem::path(spec.head) / "ISIC_2019_Training_Input";
    return std::filesystem::is_directory(published) ? published.string() : spec.head;
}

// The rows of the metadata by image.
std::map<std::string_view, size_t> rows_by_image(const Table& about, size_t image) {
    std::map<std::string_view, size_t> row_of;
    for (size_t r = 0; r < about.rows.size(); ++r) {
        const auto [place, added] = row_of.emplace(about.rows[r][image], r);
        FP_REQUIRE(added, Exit::data, about.name, ":", about.lines[r], ": image ", place->first, " stands on line ",
                   about.lines[place->second], " already");
    }
    return row_of;
}

// The class of each row, empty for UNK.
std::vector<std::string> labels_of(const Table& truth) {
    std::vector<int> classes;
    for (const std::string& name : kClasses) classes.push_back(need_column(truth, name));
    const int unknown = truth.column("UNK");
    std::vector<std::string> out;
    for (size_t r = 0; r < truth.rows.size(); ++r) {
        std::vector<std::string> labels;
        for (size_t c = 0; c < kClasses.size(); ++c)
            if (is_set(truth, r, classes[c])) labels.push_back(kClasses[c]);
        if (labels.empty() && unknown >= 0 && is_set(truth, r, unknown)) labels = {""};
        FP_REQUIRE(labels.size() == 1, Exit::data, truth.name, ":", truth.lines[r], ": ", labels.size(),
                   " classes are set, wants one");
        out.push_back(labels.front());
    }
    return out;
}

Listing list_isic2019(const DataSpec& spec) {
    const std::filesystem::path folder = spec.head;
    const Table truth = read_csv(folder / "ISIC_2019_Training_GroundTruth.csv");
    const Table about = read_csv(folder / "ISIC_2019_Training_Metadata.csv");
    const size_t truth_image = size_t(need_column(truth, "image"));
    const size_t about_image = size_t(need_column(about, "image"));
    const std::vector<std::string> labels = labels_of(truth);
    const auto row_of = rows_by_image(about, about_image);

    Listing listing{.table = {.header = {"image", "label"}, .rows = {}, .lines = {}, .name = truth.name},
                    .image = 0,
                    .label = 1,
                    .split = -1,
                    .root = folder_of_images(spec),
                    .extension = ".jpg",
                    .classes = kClasses,
                    .notes = {}};
    for (size_t c = 0; c < about.header.size(); ++c)
        if (c != about_image) listing.table.header.push_back(about.header[c]);

    int64_t without_class = 0, without_metadata = 0;
    for (size_t r = 0; r < truth.rows.size(); ++r) {
        if (labels[r].empty()) {
            ++without_class;
            continue;
        }
        const auto found = row_of.find(truth.rows[r][truth_image]);
        without_metadata += found == row_of.end();
        std::vector<std::string> row = {truth.rows[r][truth_image], labels[r]};
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
                             .keys = kKeys,
                             .open = [](const DataSpec& spec, const DatasetOptions& options) {
                                 return dataset_of(list_isic2019(spec), spec, options);
                             }};
}

}  // namespace fp
