// folder:DIR
//
// DIR/CLASS/.../IMAGE or DIR/SPLIT/CLASS/.../IMAGE, where SPLIT is train, val, test or a usual word for one of them.
// The second form is assumed if all folders in DIR have such names, or if train and one of the others are among them;
// folders with other names are then skipped and named. Hidden files are skipped; files that are not .jpg, .png or .bmp
// are skipped and counted.
#include <algorithm>
#include <filesystem>
#include <set>

#include "engine/data/decode/decode.h"
#include "engine/data/sources/sources.h"
#include "engine/io/columns.h"
#include "engine/io/words.h"
#include "kernels/error.h"

namespace fp {
namespace {

namespace fs = std::filesystem;

bool hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

std::vector<fs::path> subfolders(const fs::path& folder) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder))
        if (entry.is_directory() && !hidden(entry.path())) found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
}

void list_class(const fs::path& folder, const std::string& split, Listing& listing, OtherFiles& others) {
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (!entry.is_regular_file() || hidden(entry.path())) continue;
        if (named_as_image(entry.path()))
            files.push_back(entry.path().lexically_relative(listing.root).string());
        else
            others.add(entry.path());
    }
    std::sort(files.begin(), files.end());
    for (const std::string& file : files) {
        Cells& row = listing.table.rows.emplace_back(Cells{file, folder.filename().string()});
        if (listing.split) row.push_back(split);
    }
}

Listing list_folder(const DataSpec& spec, const DatasetOptions&) {
    FP_REQUIRE(fs::is_directory(spec.head), Exit::data, spec.head, ": is not a folder");
    const std::vector<fs::path> folders = subfolders(spec.head);
    std::set<Split> splits;
    std::vector<std::string> beside;
    for (const fs::path& folder : folders)
        if (const auto split = parse_split(folder.filename().string()))
            splits.insert(*split);
        else
            beside.push_back(folder.filename().string());

    Listing listing{.table = {.header = {"image", "label"}, .name = spec.head}, .root = spec.head};
    OtherFiles others;
    if (beside.empty() ? !splits.empty() : splits.contains(Split::train) && splits.size() > 1) {
        listing.split = 2;
        listing.table.header.push_back("split");
        if (!beside.empty()) listing.notes.push_back("skipped beside the folders of the splits: " + list(beside));
        for (const fs::path& folder : folders)
            if (parse_split(folder.filename().string()))
                for (const fs::path& inner : subfolders(folder))
                    list_class(inner, folder.filename().string(), listing, others);
    } else {
        for (const fs::path& folder : folders) list_class(folder, "", listing, others);
    }
    const std::string skipped = others.note();
    FP_REQUIRE(!listing.table.rows.empty(), Exit::data, spec.head, ": holds no CLASS/IMAGE.jpg, .jpeg, .png or .bmp (",
               counted(int64_t(folders.size()), "folder"), skipped.empty() ? "" : "; " + skipped, ")");
    if (!skipped.empty()) listing.notes.push_back(skipped);
    return listing;
}

}  // namespace

namespace sources {
extern const Source folder{.name = "folder",
                           .says = "folder:DIR",
                           .opens = "DIR/CLASS/IMAGE or DIR/train/CLASS/IMAGE, with val and test.",
                           .keys = {},
                           .list = list_folder};
}

}  // namespace fp
