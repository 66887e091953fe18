#include "engine/report/page.h"

#include "engine/report/svg.h"

namespace fp {
namespace {

const char* const kStyle = R"(
:root{--ink:#1c2024;--soft:#5b6670;--line:#d9dee3;--back:#fff;--card:#f6f8fa;--a:#2f6fbb;--b:#c8532b;--c:#3a8f5c;--d:#7d58b0;--fair:#c9d6c5}
@media (prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#9aa6b2;--line:#363e46;--back:#14181c;--card:#1d2329;--a:#6aa9ee;--b:#ee8a63;--c:#6cc492;--d:#b596e6;--fair:#3b4a3a}}
*{box-sizing:border-box}body{margin:0 auto;max-width:62rem;padding:1.5rem 1rem 4rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back)}
h1{overflow-wrap:anywhere;font-size:1.5rem;margin:0 0 .3rem}h3{font-size:1rem;margin:1.2rem 0 .4rem}h2{font-size:1.15rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line);padding-bottom:.2rem}
p{margin:.4rem 0}.soft{color:var(--soft);font-size:.9rem}.verdict{background:var(--card);border-left:4px solid var(--a);padding:.7rem 1rem;margin:1rem 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.7rem;margin:1rem 0}.tile{background:var(--card);padding:.7rem .9rem;border-radius:.4rem}
.tile b{display:block;font-size:1.35rem}.tile span{color:var(--soft);font-size:.85rem}
.scroll{overflow-x:auto}table.left td,table.left th{text-align:left;white-space:normal;overflow-wrap:anywhere}table.left th:first-child{width:8rem}table{border-collapse:collapse;font-size:.88rem;width:100%}th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--soft);font-weight:600}th:first-child,td:first-child{text-align:left}table.words td:first-child,table.words td:nth-child(2),table.words td:last-child{white-space:normal}table.words td:first-child{min-width:9rem}tr.cut td{background:var(--card)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(19rem,1fr));gap:1rem}svg{width:100%;max-width:40rem;height:auto;background:var(--card);border-radius:.4rem}
svg text{fill:var(--ink);font:11px system-ui,sans-serif}svg .title{font-weight:600;font-size:12px}svg .tick,svg .label{fill:var(--soft)}svg .grid{stroke:var(--line);stroke-width:1}
svg polyline{fill:none;stroke-width:2}.s0{stroke:var(--a);fill:var(--a)}.s1{stroke:var(--b);fill:var(--b)}.s2{stroke:var(--c);fill:var(--c)}.s3{stroke:var(--d);fill:var(--d)}
svg .legend{stroke:none}.key{display:inline-block;width:.7em;height:.7em;border-radius:50%;margin:0 .3em 0 .8em}.key.s0{background:var(--a)}.key.s1{background:var(--b)}.key.s2{background:var(--c)}
svg text.s0{fill:var(--a)}svg text.s1{fill:var(--b)}svg text.s2{fill:var(--c)}svg text.s3{fill:var(--d)}svg circle{stroke:none}svg circle.hollow{fill:var(--card);stroke-width:1.5}svg circle.hollow.s0{stroke:var(--a)}svg circle.hollow.s1{stroke:var(--b)}svg circle.hollow.s2{stroke:var(--c)}svg .bar{stroke-width:2.5}svg .thin{stroke-width:1;opacity:.5}svg .cut{stroke-width:2}.fair{fill:var(--fair)}
pre{background:var(--card);padding:.7rem;overflow-x:auto;font-size:.82rem;white-space:pre-wrap;overflow-wrap:anywhere}code{overflow-wrap:anywhere}
@media (max-width:30rem){body{padding:1rem .7rem 3rem}.tiles{grid-template-columns:1fr 1fr}.tile b{font-size:1.1rem}.charts{grid-template-columns:1fr}}
@media print{:root{--ink:#000;--soft:#444;--line:#bbb;--back:#fff;--card:#f4f4f4;--a:#2f6fbb;--b:#c8532b;--c:#3a8f5c;--d:#7d58b0;--fair:#c9d6c5}
html{font-size:10px}body{max-width:none;padding:0;font-size:1rem;print-color-adjust:exact;-webkit-print-color-adjust:exact}.scroll{overflow:visible}th,td{white-space:normal;padding:.12rem .35rem}svg,.tile,tr,.verdict,pre{break-inside:avoid}h2,h3{break-after:avoid}}
)";

std::string environment_table(const nlohmann::ordered_json& environment) {
    std::string out =
        "<h2>Environment</h2><div class=\"scroll\"><table "
        "class=\"left\"><tr><th>what<th>value</tr>";
    for (const auto& [key, value] : environment.items())
        if (key != "earlier" && key != "command")
            out += "<tr><td>" + escape_html(key) + "<td>" +
                   escape_html(value.is_string() ? value.get<std::string>() : value.dump()) +
                   "</tr>";
    return out + "</table></div>";
}

}  // namespace

std::string origin_section(const nlohmann::ordered_json& report) {
    return "<h2>To repeat this</h2><pre>" + escape_html(report.at("command").get<std::string>()) +
           "</pre>" +
           (report.contains("environment") ? environment_table(report.at("environment")) : "");
}

std::string page(const std::string& title, const std::string& body) {
    return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta "
           "name=\"viewport\" "
           "content=\"width=device-width,initial-scale=1\"><title>" +
           escape_html(title) + "</title><style>" + kStyle + "</style></head><body>\n" + body +
           "</body></html>\n";
}

}  // namespace fp
