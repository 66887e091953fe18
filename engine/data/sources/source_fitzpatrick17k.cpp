// fitzpatrick17k:FILE[,images=DIR][,label=COLUMN][,split=COLUMN]
//
// fitzpatrick17k.csv as published: md5hash, fitzpatrick_scale (1 .. 6, -1 = none), fitzpatrick_centaur, label
// (114 of them), nine_partition_label, three_partition_label, qc, url, url_alphanum. Images: MD5HASH.jpg.
#include <array>

#include "engine/data/sources/sources.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr std::array<std::string_view, 3> kKeys{"images", "label", "split"};

Listing list_fitzpatrick17k(const DataSpec& spec, const DatasetOptions& options) {
    DataSpec csv = spec;
    csv.values["image"] = "md5hash";
    csv.values["ext"] = ".jpg";
    Listing listing = list_csv(csv);
    if (options.exclude_qc) {
        const size_t qc = size_t(need_column(listing.table, "qc"));
        Table kept{.header = listing.table.header, .rows = {}, .lines = {}, .name = listing.table.name};
        for (size_t i = 0; i < listing.table.rows.size(); ++i) {
            if (listing.table.rows[i][qc].starts_with("3 ")) continue;  // "3 Wrongly labelled"
            kept.rows.push_back(listing.table.rows[i]);
            kept.lines.push_back(listing.table.lines[i]);
        }
        listing.notes.push_back(text("left out ", listing.table.rows.size() - kept.rows.size(), " of ",
                                     listing.table.rows.size(), " images that qc calls wrongly labelled"));
        listing.table = std::move(kept);
    }
    return listing;
}

}  // namespace

namespace sources {
extern const Source fitzpatrick17k{.name = "fitzpatrick17k",
                                   .says = "fitzpatrick17k:CSV,images=DIR",
                                   .keys = kKeys,
                                   .open = [](const DataSpec& spec, const DatasetOptions& options) {
                                       return dataset_of(list_fitzpatrick17k(spec, options), spec, options);
                                   }};
}

}  // namespace fp
