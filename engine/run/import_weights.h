// Weights of others as a start: torchvision's or timm's names, from safetensors or from what torch.save wrote.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/core/network.h"
#include "engine/data/preprocessing.h"
#include "engine/io/fields.h"
#include "engine/io/weights_file.h"

namespace fp {

// What import_weights() did.
struct ImportReport {
    std::string file, format;
    std::string prefix = {};               // stripped from the file's names: "module.", "model.", ...
    std::vector<std::string> loaded = {};  // parameters whose values were read
    std::vector<std::string> missing =
        {};  // of the head, which is missing or has another size: the network keeps its own
    std::vector<std::string> left_over = {};  // in the file, not in the network
    std::vector<std::string> notes = {};      // what was taken of the file, names translated, types converted
};

// A file may have one prefix before the names, such as DDP's `module.`, torch.compile's `_orig_mod.` or Lightning's
// `model.`: the one below which the network stands. `prefix` names it where a file has several networks (student and
// teacher); without it those are Exit::model, unless their values are equal. A head that is one layer further down, as
// Sequential(Dropout, Linear) has it, is found. Exit::model where anything but the head is missing or has another
// shape.
ImportReport import_weights(Network&,
                            const WeightsFile&,
                            const std::string& file_name,
                            const std::optional<std::string>& prefix = {});

// Notes what the model is taken to be, which no file says: the class of each output, where the head was read, and the
// normalisation of its pixels. A checkpoint of ours says both: where that differs, it is noted.
void add_meaning(ImportReport&, const WeightsFile&, const std::vector<std::string>& classes, const Preprocessing&);

std::vector<std::string> lines_of(const ImportReport&);  // for a person; the names of the first few alone
std::string json_of(const ImportReport&);                // all of them

void fields(maybe_const<ImportReport> auto& r, auto& member) {
    member("file", r.file);
    member("format", r.format);
    member("prefix", r.prefix);
    member("notes", r.notes);
    member("loaded", r.loaded);
    member("missing", r.missing);
    member("left_over", r.left_over);
}

}  // namespace fp
