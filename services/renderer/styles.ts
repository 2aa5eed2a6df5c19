// The report's style sheet. Colors are variables: the light values apply everywhere, the dark ones to screens only.

import { scaleWidth } from "./weeks.ts";

const light = {
  bg: "#ffffff",
  text: "#16191d",
  quiet: "#555d67",
  now: "#1f5fa8",
  line: "#7b838d",
  area: "#eef1f4",
  rule: "#dde1e6",
  met: "#0b6b4f",
  held: "#8a5200",
  failed: "#b3261e",
  s1: "#edf3fa",
  s2: "#cfe0f2",
  s3: "#a3c4e6",
  s4: "#6ea1d4",
  s5: "#1f5fa8",
  t4: "#16191d",
  t5: "#ffffff",
};
const dark: typeof light = {
  bg: "#14171b",
  text: "#e9ecef",
  quiet: "#a5adb7",
  now: "#6fb0f2",
  line: "#7f8893",
  area: "#22272d",
  rule: "#2d333a",
  met: "#57c99a",
  held: "#f0b45c",
  failed: "#ff8d84",
  s1: "#1c2733",
  s2: "#20384f",
  s3: "#27527d",
  s4: "#5593d3",
  s5: "#a9d2fb",
  t4: "#14171b",
  t5: "#14171b",
};

function variables(colors: typeof light): string {
  return Object.entries(colors)
    .map(([name, value]) => `--${name}:${value}`)
    .join(";");
}

export const styles = `
:root{color-scheme:light dark;${variables(light)}}
@media screen and (prefers-color-scheme:dark){:root{${variables(dark)}}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:15px/1.5 -apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums lining-nums;-webkit-text-size-adjust:100%;text-size-adjust:100%}
main,footer{max-width:1180px;margin:0 auto;padding:0 32px}
main{padding-top:52px}
footer{margin-top:24px;color:var(--quiet);font-size:13px;padding-bottom:48px}
code{font-size:12px;overflow-wrap:anywhere}
a{color:inherit;text-underline-offset:3px}
a:hover{color:var(--now)}
:focus-visible{outline:2px solid var(--now);outline-offset:2px}
h1,h2,p,dl,dd,ul{margin:0;padding:0}
h1,h2,th,dt,b{overflow-wrap:anywhere}
h1{font-size:36px;line-height:1.2;font-weight:600;letter-spacing:-.01em;max-width:31em;text-wrap:balance}
h2{font-size:20px;line-height:1.35;font-weight:600;text-wrap:balance;max-width:34em;margin-bottom:12px}
h2 small{display:block;font-size:13px;line-height:1.6;color:var(--quiet)}
small{font-weight:400;font-size:13px;color:var(--quiet)}
h2 small,dt{font-weight:600}
b{font-weight:600}
.hidden{position:absolute;width:1px;height:1px;margin:-1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.narrow{display:none}
.quiet,.note,.facts{color:var(--quiet)}
.note,.facts{font-size:13px;max-width:44em}
.note{margin:12px 0}
h2+.note,h2+table,.note+table{margin-top:0}
.icon{flex:none;vertical-align:-2px;fill:var(--met);stroke:var(--bg);stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round}
.icon.held,.icon.warning{fill:var(--held)}.icon.failed{fill:var(--failed)}
.icon.unknown{stroke:var(--quiet);fill:none}
.icon .fill{stroke:none}
.icon :not(circle,rect,.fill){fill:none}
.icon :is(circle,rect):not(.ring){stroke:none}
.over{margin-bottom:36px}.over span{color:var(--quiet);margin-left:12px}
.state{display:flex;align-items:center;gap:8px;font-weight:600;margin-bottom:8px}
.state.published{color:var(--met)}.state.held{color:var(--held)}.state.failed{color:var(--failed)}.state.superseded{color:var(--quiet)}
.lead{font-size:18px;line-height:1.5;max-width:43em;margin-top:14px;overflow-wrap:anywhere}
.facts{margin-top:16px;max-width:none}.facts span{display:inline-block;margin-right:24px}
nav{margin-top:28px;border:solid var(--rule);border-width:1px 0;padding:11px 0;display:flex;flex-wrap:wrap;gap:0 20px;font-size:13px}
nav a{color:var(--quiet);text-decoration:none;line-height:24px}
nav a:hover{text-decoration:underline}
.key{display:grid;grid-template-columns:repeat(auto-fit,minmax(0,1fr));gap:20px 32px;margin:20px 0 56px}
.key>div{min-width:0}
.key dt,.key dd{font-size:13px;color:var(--quiet)}
.key dd b{color:var(--text)}
.key .value{font-size:34px;line-height:1.25;font-weight:600;color:var(--text);white-space:nowrap}
.key .value small{font-size:18px;color:var(--text)}
section{border-top:1px solid var(--rule);padding-top:20px;margin-bottom:56px;min-width:0}
.row{display:grid;grid-template-columns:1fr 1fr;gap:0 48px}
.hours-row{grid-template-columns:5fr 7fr}
table{width:100%;border-collapse:collapse}
th{font-weight:400;text-align:left}
td,thead th{text-align:right}
thead th{font-size:13px;color:var(--quiet);vertical-align:bottom}
thead th:first-child{text-align:left}
td,th{padding:7px 0 6px 16px}
td:first-child,th:first-child{padding-left:0}
td,thead th:not(:first-child){white-space:nowrap}
tr{border-bottom:1px solid var(--rule)}
.ledger-pair{display:grid;grid-template-columns:5fr 13fr;gap:24px 48px}
.ledger{align-self:start}
.ledger tr{border:0}.ledger td,.ledger th{padding:1px 0}
.ledger th{white-space:nowrap}.ledger b{font-size:20px}.ledger small{font-size:18px;margin-right:6px}
.ledger tr:last-child{border-top:2px solid var(--text)}
.ledger .icon{margin-left:6px}
.sum th,.sum td{font-weight:600}
.weeks{display:block;width:calc(100% - ${scaleWidth}px);margin-left:${scaleWidth}px;overflow:visible;font-size:12px;fill:var(--quiet)}
.weeks .grid{stroke:var(--rule)}.weeks .axis{stroke:var(--line)}
.weeks path{fill:none;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.weeks .area{fill:var(--area)}.weeks .before{stroke:var(--line);stroke-width:1.5}.weeks .now{stroke:var(--now);stroke-width:2.75}
.weeks .dot{fill:var(--now);stroke:var(--bg);stroke-width:1.5}
.weeks .halo{stroke:var(--bg);stroke-width:4px;paint-order:stroke;stroke-linejoin:round}
.weeks .label{font-size:14px;font-weight:600}.weeks .this{fill:var(--now)}.weeks .last{fill:var(--quiet)}
.weeks .hit{fill:transparent}.weeks .hit:hover{fill:var(--now);fill-opacity:.12}
details{margin-top:12px;font-size:13px}
summary{cursor:pointer;line-height:24px;width:fit-content}
.weeks-table{max-width:440px;margin-top:8px}
.weeks-table td,.weeks-table th{padding-top:2px;padding-bottom:2px}
.heat{table-layout:fixed;border-collapse:separate;border-spacing:2px}
.heat td,.heat th{padding:2px 0;text-align:center;font-size:13px}
.heat :is(td,th):first-child{width:17%;text-align:left;color:var(--quiet);white-space:nowrap}
.heat abbr{text-decoration:none}
.heat td,.legend span{color:var(--quiet);border-radius:2px}
${[1, 2, 3, 4, 5].map((step) => `.heat .s${step},.legend .s${step}{background:var(--s${step});color:var(--${step > 3 ? `t${step}` : "text"});forced-color-adjust:none}`).join("\n")}
.heat .top{outline:2px solid var(--text);font-weight:600}
.legend{display:grid;grid-template-columns:17fr repeat(5,16.6fr);gap:2px;margin-top:12px;font-size:12px;text-align:center}
.bar{display:block;position:relative;height:8px;margin-top:5px;min-width:24px}
.bar i,.bar b{position:absolute;top:0;height:8px;forced-color-adjust:none}
.bar i{left:0;min-width:1px;background:var(--now)}
.bar .stub{width:6px;background:none;border:1px solid var(--now)}
.bar b{width:3px;margin-left:-2px;top:-3px;height:14px;background:var(--text);border:solid var(--bg);border-width:0 1px}
.scroll{overflow-x:visible}
.panels{table-layout:fixed}
.panels :is(td,th){text-align:left;vertical-align:top;padding-left:24px}
.panels :is(td,th):first-child{padding-left:0;width:26%}
.panels thead th:not(:first-child){white-space:normal}
.panels thead th{color:var(--text);font-weight:600;font-size:14px}
.panels thead small{display:block}
.panels td{padding-right:4px}
.panels .bar{margin-top:2px}
.panels td small{font-size:12px}
.answers th:first-child{width:52%}
.answers .bar{margin:6px 12px 3px 0}
.fields{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));gap:32px 48px}
.fields .answers th:first-child{width:auto}.fields thead th:first-child{font-weight:600;color:var(--text)}
.statistics{display:grid;grid-template-columns:7fr 5fr;gap:32px 48px}
.statistics caption{text-align:left;font-size:13px;font-weight:600;margin-bottom:8px}
.statistics th small{display:block;max-width:36em}
.statistics td{vertical-align:top}.statistics code{overflow-wrap:anywhere}
.coverage td:nth-child(2){width:30%}.coverage .bar{margin:0}
.coverage th small{display:inline-block}
.expectations th:first-child{display:flex;gap:12px}
.expectations thead th:first-child{display:table-cell}
.expectations .icon{margin-top:3px}
.expectations td{vertical-align:top;white-space:normal}
.unmet>*{font-weight:600}
.plain{list-style:none;font-size:13px;color:var(--quiet);overflow-wrap:anywhere}
dl:not(.key)>div{border-bottom:1px solid var(--rule);padding:9px 0}
dl:not(.key)>div:first-child{padding-top:0}
dl:not(.key) dd{color:var(--quiet);overflow-wrap:anywhere}
@media screen and (max-width:900px){
.row,.hours-row,.ledger-pair,.statistics{grid-template-columns:minmax(0,1fr)}
section{margin-bottom:40px;padding-top:16px}
}
@media screen and (max-width:560px){
main,footer{padding-left:16px;padding-right:16px}
main{padding-top:24px}
.over{margin-bottom:24px}.over span{display:block;margin-left:0}
h1{font-size:26px}h2{font-size:18px}.lead{font-size:16px}
.facts span{display:block}
nav{gap:0 16px}
.key{grid-template-columns:1fr 1fr;gap:16px;margin-bottom:40px}
.key>div:first-child{grid-column:1/-1}
.key .value{font-size:28px;white-space:normal;overflow-wrap:anywhere}
td,th{padding-left:8px}
.wide,.panels td small{display:none}
.narrow{display:inline}
.weeks .even{display:none}
.ledger th{white-space:normal}
.panels :is(td,th){padding-left:6px}.panels td{padding-right:0;font-size:12px}.panels :is(td,th):first-child{width:25%}
.panels thead th{font-size:12px;hyphens:auto}
.fields{grid-template-columns:minmax(0,1fr)}
.coverage td:nth-child(2){width:24%}
.heat td,.heat th,.legend{font-size:12px}
}
@media print{
@page{size:letter;margin:12mm}
body{zoom:.73}
main,footer{padding:0}
.fields{grid-template-columns:repeat(3,1fr);gap:16px 32px}
nav,details,.screen,.weeks .hit{display:none}
section:not(#fields),.fields>div{break-inside:avoid}
td,th{padding-top:4px;padding-bottom:4px}
section{padding-top:12px;margin-bottom:28px}
.key{margin-bottom:28px}
h2{break-after:avoid}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}`;
