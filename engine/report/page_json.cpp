#include <nlohmann/json.hpp>

#include "engine/io/fields.h"
#include "engine/io/words.h"
#include "engine/report/evaluation.h"
#include "engine/report/gallery.h"
#include "engine/report/page.h"
#include "engine/report/trainings_report.h"

namespace fp {

// RFC 4648, with padding.
static std::string base64(std::string_view bytes) {
    static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (size_t i = 0; i < bytes.size(); i += 3) {
        uint32_t three = 0;
        for (size_t j = 0; j < 3; ++j) three = three << 8 | (i + j < bytes.size() ? uint8_t(bytes[i + j]) : 0);
        for (size_t j = 0; j < 4; ++j) out += i + j > bytes.size() ? '=' : kDigits[three >> (18 - 6 * j) & 63];
    }
    return out;
}

static void fields(const Mistake& m, JsonWriter& out) {
    out("image", m.image);
    out("label", m.label);
    out("predicted", m.predicted);
    out("probability", m.probability);
    out("png", "data:image/png;base64," + base64(m.png));
}

static void fields(const Gallery::Group& g, JsonWriter& out) {
    out("attribute", g.attribute);
    out("group", g.name);
    out("mistakes", g.mistakes);
}

std::string report_page(const nlohmann::ordered_json& document, const Gallery& gallery) {
    if (gallery.groups.empty()) return report_page(document);
    nlohmann::ordered_json with_images = document;
    with_images["gallery"] = to_json(gallery.groups);
    return report_page(with_images);
}

std::string page_text(const Evaluation& e,
                      const std::optional<AtThreshold>& at,
                      const JudgedNames& names,
                      const Gallery& gallery,
                      const Caller& caller,
                      const Kernels* used) {
    nlohmann::ordered_json document;
    JsonWriter out{make_object(document)};
    out("title", "Evaluation of " + names.model);
    out("command", caller.command_line);
    if (e.other) {
        out("names", std::vector{names.other, names.model});
        out("other", *e.other);
    }
    JsonWriter evaluation = inside(out, "evaluation");
    put_evaluation(evaluation, e, at);
    document["environment"] = environment(caller, used);
    return report_page(document, gallery);
}

std::string page_text(const TrainingsReport& r,
                      const std::vector<std::vector<std::string>>& files,
                      const std::optional<TestReads>& reads,
                      const Caller& caller,
                      const Kernels* used) {
    nlohmann::ordered_json document;
    JsonWriter out{make_object(document)};
    const bool pairs = !r.metrics.empty() && r.metrics[0].difference;
    out("title", pairs ? counted(r.trainings, "pair of trainings", "pairs of trainings") + " of two methods"
                       : counted(r.trainings, "training") + " of one method");
    out("command", caller.command_line);
    JsonWriter trainings = inside(out, "trainings");
    put_trainings(trainings, r, files, reads);
    document["environment"] = environment(caller, used);
    return report_page(document);
}

}  // namespace fp
