// folder:DIR
//
// DIR/CLASS/.../IMAGE or DIR/SPLIT/CLASS/.../IMAGE, where every folder in DIR is called train, val, test or a
// usual word for one of them. Hidden files are skipped; other files that are not .jpg, .png or .bmp are skipped
// and counted.
#include <algorithm>
#include <array>
#include <filesystem>

#include "engine/data/sources/sources.h"
#include "engine/io/columns.h"
#include "kernels/error.h"

namespace fp {
namespace {

namespace fs = std::filesystem;

std::string lower(std::string word) {
    for (char& c : word)
        if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    return word;
}

std::vector<fs::path> subfolders(const fs::path& folder) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder))
        if (entry.is_directory() && !entry.path().filename().string().starts_with('.')) found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
}

bool has_image_ending(const fs::path& file) {
    constexpr std::array<std::string_view, 4> kEndings = {".jpg", ".jpeg", ".png", ".bmp"};
    const std::string ending = lower(file.extension().string());
    return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
}

void list_class(const fs::path& folder, const std::string& split, Listing& listing, int64_t& others) {
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (!entry.is_regular_file() || entry.path().filename().string().starts_with('.')) continue;
        if (has_image_ending(entry.path()))
            files.push_back(entry.path().lexically_relative(listing.root).string());
        else
            ++others;
    }
    std::sort(files.begin(), files.end());
    for (std::string& file : files) {
        listing.table.rows.push_back({std::move(file), folder.filename().string(), split});
        listing.table.lines.push_back(0);
    }
}

Listing list_folder(const DataSpec& spec) {
    const fs::path root = spec.head;
    FP_REQUIRE(fs::is_directory(root), Exit::data, spec.head, ": is no folder");
    const std::vector<fs::path> folders = subfolders(root);
    const auto is_split = [](const fs::path& p) { return parse_split(p.filename().string()).has_value(); };
    const bool split = !folders.empty() && std::all_of(folders.begin(), folders.end(), is_split);

    Listing listing{.table = {.header = {"image", "label", "split"}, .rows = {}, .lines = {}, .name = spec.head},
                    .image = 0,
                    .label = 1,
                    .split = split ? 2 : -1,
                    .root = spec.head,
                    .extension = "",
                    .classes = {},
                    .notes = {}};
    int64_t others = 0;
    for (const fs::path& folder : folders) {
        if (!split) {
            list_class(folder, "", listing, others);
            continue;
        }
        for (const fs::path& inner : subfolders(folder)) list_class(inner, folder.filename().string(), listing, others);
    }
    FP_REQUIRE(!listing.table.rows.empty(), Exit::data, spec.head, ": holds no CLASS/IMAGE.jpg, .jpeg, .png or .bmp (",
               folders.size(), " folders, ", others, " other files)");
    if (others > 0)
        listing.notes.push_back(text("passed over ", others, " files that are not .jpg, .jpeg, .png or .bmp"));
    return listing;
}

}  // namespace

namespace sources {
extern const Source folder{.name = "folder",
                           .says = "folder:DIR",
                           .keys = {},
                           .open = [](const DataSpec& spec, const DatasetOptions& options) {
                               return dataset_of(list_folder(spec), spec, options);
                           }};
}

}  // namespace fp
