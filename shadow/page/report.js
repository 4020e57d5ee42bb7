/*
 * The report's page: draws the JSON of docs/report.md that stands in <script id="report">.
 *
 * Everything shown is made by el() and svg(), which create elements and text nodes: no value of the report is ever read
 * as markup. Any member may be missing. The address after # says what is shown (see Place), so that a link leads to a
 * sample and the back button works. Lists are drawn a piece at a time; nothing leaves the page.
 */
(function() {
'use strict';

/* ---- reading the report: a member that is missing or of another type reads as nothing ---- */

const number = (value) => (typeof value === 'number' && Number.isFinite(value) ? value : null);
const count = (value) => Math.max(0, number(value) ?? 0);
const list = (value) => (Array.isArray(value) ? value : []);
const object = (value) => (value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {});
const objects = (value) => list(value).filter((item) => item !== null && typeof item === 'object').map(object);
const text = (value) => (typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '');

function readReport() {
  try {
    return object(JSON.parse(document.getElementById('report').textContent));
  } catch {
    return {};
  }
}

/* ---- elements ---- */

/* Characters that reorder or hide what stands beside them are named instead of obeyed. */
const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const plainText = (value) => String(value).replace(
    INVISIBLE, (c) => '\u27e8U+' + c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0') + '\u27e9');

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(plainText(child)));
  }
  return node;
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function')
      node.addEventListener(name, value);
    else if (name === 'style')
      Object.assign(node.style, value);
    else
      node.setAttribute(name, value === true ? '' : plainText(value));
  }
  return append(node, children);
}

const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
    fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
const unseen = (words) => el('span', {class: 'unseen'}, words);
const percentOf = (part, whole) => (whole > 0 ? Math.min(100, Math.max(0, (100 * part) / whole)) : 0) + '%';

const ICONS = {
  pass: 'M7 12.5l3.5 3.5L17 8.5',
  fail: 'M8 8l8 8M16 8l-8 8',
  wait: 'M9 9.2a3 3 0 1 1 4.2 2.7c-.9.4-1.2 1-1.2 2M12 17v.1',
};
const icon = (name) =>
    svg('svg', {
      viewBox: '0 0 24 24',
      'aria-hidden': 'true',
      fill: 'none',
      stroke: 'currentColor',
      'stroke-width': 2.2,
      'stroke-linecap': 'round',
      'stroke-linejoin': 'round'
    },
        svg('circle', {cx: 12, cy: 12, r: 10}), svg('path', {d: ICONS[name]}));

/* ---- figures, times, units ---- */

const NONE = '\u2013';
const MINUS = '\u2212';
const grouped = (value) => Math.round(value).toLocaleString('en-US');
const many = (value, one, more) => grouped(value) + ' ' + (value === 1 ? one : more);

/* Two significant digits at least; what happened is never "0 %" and what is not all is never "100 %". */
function percent(rate, happened) {
  if (number(rate) === null) return NONE;
  const value = rate * 100;
  if (value <= 0) return happened ? '> 0\u00a0%' : '0\u00a0%';
  if (value >= 100) return '100\u00a0%';
  if (value > 99.9) return '> 99.9\u00a0%';
  if (value < 1e-7) return '< 0.0000001\u00a0%';
  const near = Number(value.toPrecision(2));
  const digits = near >= 10 ? 1 : near >= 0.1 ? 2 : Math.min(9, 1 - Math.floor(Math.log10(near)));
  return value.toFixed(digits) + '\u00a0%';
}

/* What somebody set is shown as it was written. */
const setting = (rate) => (number(rate) === null ? NONE : String(Number((rate * 100).toPrecision(6))) + '\u00a0%');
const shareOf = (part, whole) => percent(whole > 0 ? part / whole : 0, part > 0);

function figure(value) {
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 1 : 2;
  return size.toLocaleString('en-US', {minimumFractionDigits: digits, maximumFractionDigits: digits});
}
function milliseconds(value) {
  return number(value) === null ? NONE : (value < 0 ? MINUS : '') + figure(value) + '\u00a0ms';
}
function signedMilliseconds(value) {
  return number(value) === null ? NONE : (value < 0 ? MINUS : value > 0 ? '+' : '') + figure(value) + '\u00a0ms';
}
const times = (value) => (number(value) === null ? NONE : value.toFixed(2) + '\u00d7');

function bytes(value) {
  const size = number(value);
  if (size === null) return NONE;
  return size < 10240 ? many(size, 'byte', 'bytes') :
      size < 10485760 ? grouped(size / 1024) + ' KiB' :
                        grouped(size / 1048576) + ' MiB';
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/* A figure and its sign stay on one line. */
const bound = (words) => words.replaceAll(' %', '\u00a0%');
const two = (value) => String(value).padStart(2, '0');
function dateOf(ms) {
  const date = new Date(count(ms));
  return count(ms) === 0 || Number.isNaN(date.getTime()) ? null : date;
}
const clock = (date) => two(date.getUTCHours()) + ':' + two(date.getUTCMinutes());
const day = (date) => date.getUTCDate() + ' ' + MONTHS[date.getUTCMonth()];
function moment(ms) {
  const date = dateOf(ms);
  return date === null ?
      NONE :
      day(date) + ' ' + date.getUTCFullYear() + ', ' + clock(date) + ':' + two(date.getUTCSeconds()) + ' UTC';
}
function shortMoment(ms) {
  const date = dateOf(ms);
  return date === null ? NONE : day(date) + ' ' + clock(date) + ':' + two(date.getUTCSeconds());
}

/* ---- words ---- */

const RESULTS = {
  pass: {word: 'Pass', look: 'pass'},
  fail: {word: 'Fail', look: 'fail'},
  undecided: {word: 'Undecided', look: 'wait'},
};
const resultOf = (route) => RESULTS[text(route.verdict.result)] ?? RESULTS.undecided;

const STATES = {
  real: {word: 'real', glyph: '\u2260', note: 'Shown: it differs between the two sides more than it does by itself.'},
  noise: {
    word: 'noise',
    glyph: '\u223f',
    note: 'Hidden and excused: it differs as much between two answers of the same side.'
  },
  rare: {
    word: 'rare',
    glyph: '\u2026',
    note: 'Hidden, but still counted as differing: too seldom to pass the thresholds.'
  },
  undecided: {
    word: 'undecided',
    glyph: '?',
    note: 'Hidden, but still counted as differing: more than by itself, but that may be chance so far.'
  },
  ignored:
      {word: 'ignored', glyph: '\u2212', note: 'Only seen where a rule of the route says that it does not matter.'},
};
const STATE_ORDER = ['real', 'undecided', 'rare', 'noise', 'ignored'];
const stateOf = (field) => (STATES[text(field.state)] ? field.state : field.shown === true ? 'real' : 'undecided');

const KINDS = {
  missing: 'only the primary has it',
  extra: 'only the shadow has it',
  type: 'another type',
  value: 'another value',
  order: 'the same elements in another order',
  length: 'another length',
  duplicate: 'one side has the name more often',
  invalid: 'one side is not what it says it is',
};

/* Not compared (shadow/compare.c) and not mirrored (docs/metrics.md, "Reasons of copies"): a test holds them together. */
const REASONS = {
  shadow_connect: 'the shadow could not be reached',
  shadow_timeout: 'the shadow did not answer in time',
  shadow_reset: 'the shadow broke off',
  shadow_bad_response: 'the shadow did not speak HTTP',
  shadow_overloaded: 'no connection was free for the copy: a bound of shunt\u2019s',
  primary_failed: 'the primary gave no whole answer',
  client_gone: 'the client left before the end',
  truncated: 'bodies longer than max_body that differ: how, cannot be told',
  content_encoding: 'compressed bodies that differ, in a coding that is not decoded',
  decoded_too_large: 'a compressed body unfolds to more than 8 times max_body',
  too_complex: 'nested too deep, or too much work for one pair',
  no_memory: 'no memory was left for the comparison',
  no_libxml2: 'XML that differs, and libxml2 cannot be loaded where shunt runs',
  rate: 'outside the share that is mirrored',
  method: 'the method is not among shadow.methods',
  upgrade: 'upgraded exchanges (WebSocket) are never mirrored',
  copy: 'the request was somebody\u2019s copy itself',
  cut_short: 'the primary answered before the whole request had come',
  passthrough: 'passthrough was on',
  simulated: 'only simulated: logged and counted, never sent',
  rate_limit: 'max_rate was reached',
  in_flight: 'max_in_flight was reached: too many copies were under way',
  breaker: 'copies kept failing, and the mirror was left alone',
  memory: 'a bound on memory was reached (max_buffer, shadow_memory)',
  body_too_large: 'the request or an answer was too large to keep',
  status: 'the primary\u2019s status is not among shadow.statuses',
  connect: 'the copy could not connect',
  timeout: 'the copy\u2019s answer was not complete in time',
  reset: 'the mirrored backend broke off',
  bad_response: 'the mirrored backend did not speak HTTP',
  queue: 'too many pairs were waiting to be compared',
};

const sideName = (route, which) => text(route[which]) || which;
const directionOf = (route) => sideName(route, 'primary') + ' \u2192 ' + sideName(route, 'shadow');

/* ---- the model: routes with their members made safe, and searchable rows, made when first needed ---- */

function verdictOf(raw) {
  const verdict = object(raw);
  return {
    ...verdict,
    compared: count(verdict.compared),
    differing: count(verdict.differing),
    sentence: bound(text(verdict.sentence))
  };
}

function totalsOf(raw) {
  const t = object(raw);
  const totals = {
    matched: count(t.matched),
    ignored: count(t.ignored),
    mismatched: count(t.mismatched),
    notComparable: count(t.not_comparable),
    noiseOnly: count(t.noise_only)
  };
  totals.compared = Math.max(count(t.compared), totals.matched + totals.ignored + totals.mismatched);
  totals.differing = Math.max(0, totals.mismatched - totals.noiseOnly);
  return totals;
}

function fieldOf(raw, endpoint) {
  const field = {
    raw,
    endpoint,
    name: text(raw.field),
    differing: count(raw.differing),
    noise: count(raw.noise_differing),
    ignored: count(raw.ignored),
    why: bound(text(raw.why)),
    example: object(raw.example),
    kinds: []
  };
  field.state = stateOf(raw);
  field.rate = number(raw.rate) ?? (endpoint.totals.compared > 0 ? field.differing / endpoint.totals.compared : 0);
  field.noiseRate = number(raw.noise_rate);
  for (const [kind, seen] of Object.entries(object(raw.kinds)))
    if (count(seen) > 0) field.kinds.push([kind, count(seen)]);
  field.kinds.sort((a, b) => b[1] - a[1]);
  field.haystack =
      [field.name, endpoint.name, text(field.example.path), text(field.example.request_id)].join('\n').toLowerCase();
  return field;
}

function endpointOf(raw) {
  const endpoint = {raw, name: text(raw.endpoint), totals: totalsOf(raw.totals), noise: totalsOf(raw.noise)};
  endpoint.fields = objects(raw.fields).map((field) => fieldOf(field, endpoint));
  endpoint.real = endpoint.fields.filter((field) => field.state === 'real');
  endpoint.haystack = endpoint.name.toLowerCase();
  return endpoint;
}

function sampleOf(raw, index) {
  const sample = {
    raw,
    index,
    endpoint: text(raw.endpoint),
    for: text(raw.for),
    id: text(raw.request_id) || 'sample-' + index,
    differences: objects(raw.differences),
    primary: object(raw.primary_answer),
    shadow: object(raw.shadow_answer),
    request: object(raw.request)
  };
  sample.haystack = [
    sample.id, text(raw.target), text(raw.method), sample.for, sample.endpoint,
    ...sample.differences.map((d) => text(d.path))
  ].join('\n').toLowerCase();
  return sample;
}

function routeOf(raw) {
  const route = {
    raw,
    name: text(raw.route),
    primary: text(raw.primary),
    shadow: text(raw.shadow),
    verdict: verdictOf(raw.verdict),
    totals: totalsOf(raw.totals),
    noise: totalsOf(raw.noise),
    buckets: objects(raw.buckets)
  };
  let endpoints = null;
  let samples = null;
  route.endpoints = () => {
    if (endpoints === null) {
      endpoints = objects(raw.endpoints).map(endpointOf);
      endpoints.sort(
          (a, b) => (a.name === '(other)') - (b.name === '(other)') || b.totals.differing - a.totals.differing ||
              b.totals.mismatched - a.totals.mismatched || b.totals.compared - a.totals.compared);
    }
    return endpoints;
  };
  route.fields = () => route.endpoints().flatMap((endpoint) => endpoint.fields);
  route.samples = () => (samples ??= objects(raw.samples).map(sampleOf));
  return route;
}

/*
 * ---- the place: what the address after # says ----
 *
 * r route, p primary, e endpoint, f field, s sample (request id); q search, state and kind filters, direction.
 */
const PLACE_KEYS = ['r', 'p', 'e', 'f', 's', 'q', 'state', 'kind', 'direction'];

function readPlace() {
  const given = new URLSearchParams(location.hash.slice(1));
  const place = {};
  for (const key of PLACE_KEYS) place[key] = given.get(key) ?? '';
  return place;
}

function addressOf(place) {
  const parts = PLACE_KEYS.filter((key) => place[key]).map((key) => key + '=' + encodeURIComponent(place[key]));
  return '#' + parts.join('&');
}

/* ---- small pieces ---- */

const pill = (state) =>
    el('span', {class: 'pill ' + state}, el('span', {'aria-hidden': 'true'}, STATES[state].glyph), STATES[state].word);

function gauge(part, whole, look) {
  return el(
      'div', {class: 'gauge ' + (look ?? ''), 'aria-hidden': 'true'},
      el('span', {class: part > 0 ? null : 'zero', style: {width: percentOf(part, whole)}}));
}

function reasonsOf(raw) {
  return Object.entries(object(raw)).filter((entry) => count(entry[1]) > 0).sort((a, b) => b[1] - a[1]);
}

function copyButton(label, make) {
  const button = el('button', {type: 'button', class: 'button', click: () => copy(make(), button)}, label);
  return button;
}

function copy(words, button) {
  const said = button.textContent;
  const done = (worked) => {
    button.textContent = worked ? 'Copied' : 'Select and copy by hand';
    announce(button.textContent);
    setTimeout(() => {
      button.textContent = said;
    }, 1600);
  };
  if (navigator.clipboard)
    navigator.clipboard.writeText(words).then(() => done(true), () => done(copyBySelection(words)));
  else
    done(copyBySelection(words));
}

/* Where the clipboard's own interface is not allowed, as in some pages opened from a file. */
function copyBySelection(words) {
  const area = el('textarea', {class: 'unseen', readonly: true});
  area.value = words;
  document.body.append(area);
  area.select();
  const worked = document.execCommand('copy');
  area.remove();
  return worked;
}

function announce(words) {
  const speaker = document.getElementById('speaker');
  if (speaker !== null) speaker.textContent = plainText(words);
}

/* A list that is drawn a piece at a time. */
function longList(items, draw, piece, attributes) {
  const rows = el('ul', {class: 'rows', ...attributes});
  const more = el('button', {type: 'button', class: 'button more', click: () => grow(true)});
  let drawn = 0;
  function grow(asked) {
    const before = drawn;
    for (; drawn < items.length && drawn < before + piece; drawn++) rows.append(draw(items[drawn]));
    more.hidden = drawn >= items.length;
    more.textContent =
        'Show ' + grouped(Math.min(piece, items.length - drawn)) + ' more of ' + grouped(items.length - drawn);
    if (asked) rows.children[before]?.querySelector('a, button')?.focus();
  }
  grow(false);
  return [rows, more];
}

/* <details> whose inside is made when it is first opened. */
function folded(summary, make, open) {
  const details = el('details', {open}, el('summary', null, summary));
  let made = false;
  const ensure = () => {
    if (made) return;
    made = true;
    append(details, [make()]);
  };
  if (open) ensure();
  details.addEventListener('toggle', () => {
    if (details.open) ensure();
  });
  details.unfold = () => {
    ensure();
    details.open = true;
  };
  return details;
}

/* ---- the verdict ---- */

function claimOf(route) {
  const v = route.verdict;
  if (v.state === 'no_data' || v.compared === 0) return 'Nothing has been compared yet, so nothing can be said.';
  if (v.differing === 0) return 'None of ' + grouped(v.compared) + ' compared answers differ.';
  return grouped(v.differing) + ' of ' + grouped(v.compared) + ' compared answers differ (' + percent(v.rate, true) +
      ').';
}

/* Linear while limit and bound are within sight of each other, else logarithmic. */
function scaleOf(points) {
  const positive = points.filter((value) => value > 0);
  const most = Math.max(...positive);
  const least = Math.min(...positive);
  if (most / least <= 25) {
    const end = Math.min(1, most * 1.25);
    const ticks = niceTicks(0, end, 4).filter((value) => value <= end);
    return {at: (value) => (100 * value) / end, ticks, logarithmic: false};
  }
  const from = Math.floor(Math.log10(least * 0.8));
  const to = Math.min(0, Math.ceil(Math.log10(most * 1.3)));
  const ticks = [];
  const step = Math.max(1, Math.ceil((to - from) / 5));
  for (let power = from; power <= to; power += step) ticks.push(10 ** power);
  return {
    at: (value) => (value <= 0 ? 0 : Math.max(0, (100 * (Math.log10(value) - from)) / (to - from))),
    ticks,
    logarithmic: true
  };
}

function niceTicks(from, to, wanted) {
  const rough = (to - from) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((value) => value >= rough * 0.999) ?? 10 * power;
  const ticks = [];
  for (let i = Math.ceil(from / step - 1e-9); i * step <= to + step * 1e-6; i++) ticks.push(i * step);
  return ticks;
}

function drawScale(v) {
  const limit = number(v.limit);
  const atLeast = count(v.at_least);
  const atMost = number(v.at_most);
  if (v.compared === 0 || atMost === null) return null;
  const rate = count(v.rate);
  const points = [rate, atLeast, atMost, limit ?? 0].filter((value) => value > 0);
  if (points.length === 0) return null;
  const scale = scaleOf(points);
  const left = (value) => Math.min(100, scale.at(value)) + '%';
  const sure = setting(number(v.confidence) ?? 0.99);
  const words = 'Rate ' + percent(rate, v.differing > 0) + '; with ' + sure + ' confidence at least ' +
      percent(atLeast) + ' and at most ' + percent(atMost) + '; ' +
      (limit === null ? 'no limit is set.' : 'limit ' + setting(limit) + '.');
  const limitAt = limit === null ? 0 : Math.min(100, scale.at(limit));
  return el(
      'figure', {class: 'scale'},
      el('div', {class: 'track', role: 'img', 'aria-label': words},
         limit !== null &&
             [
               el('div', {class: 'within', style: {width: left(limit)}}),
               el('div', {class: 'over', style: {left: left(limit)}}),
               limitAt > 24 && el('span', {class: 'zone in', style: {left: left(limit)}}, 'within limit'),
               limitAt < 78 && el('span', {class: 'zone out', style: {left: left(limit)}}, 'over limit'),
               el('div', {class: 'limit', style: {left: left(limit)}}),
             ],
         el('div', {
           class: 'span',
           style: {left: left(atLeast), width: Math.max(0, scale.at(atMost) - scale.at(atLeast)) + '%'}
         }),
         el('div', {class: 'rate', style: {left: 'clamp(.65rem, ' + left(rate) + ', calc(100% - .65rem))'}})),
      el('div', {class: 'axis', 'aria-hidden': 'true'}, scale.ticks.map((tick) => {
        const at = Math.min(100, scale.at(tick));
        return el(
            'span',
            {class: at < 4 ? 'first' :
                 at > 96   ? 'last' :
                             null,
             style: {left: at + '%'}},
            tickPercent(tick));
      })),
      el('figcaption', {class: 'keys'},
         el('span', null, el('i', {class: 'k-rate'}), 'rate ', el('b', null, percent(rate, v.differing > 0))),
         el('span', null, el('i', {class: 'k-span'}), 'at ' + sure + ' confidence ',
            el('b', null, percent(atLeast) + ' to ' + percent(atMost))),
         limit === null ? el('span', null, 'no limit is set') :
                          el('span', null, el('i', {class: 'k-limit'}), 'limit ', el('b', null, setting(limit))),
         scale.logarithmic && el('span', null, 'logarithmic scale')));
}

const tickPercent = (rate) => (rate === 0 ? '0' : String(Number((rate * 100).toPrecision(2)))) + '\u00a0%';

function drawVerdict(route, place) {
  const result = resultOf(route);
  return el(
      'section', {class: 'card verdict ' + result.look, 'aria-labelledby': 'verdict-word'},
      el('div', null,
         el('h1', {class: 'word', id: 'verdict-word', tabindex: '-1'}, icon(result.look),
            unseen(route.name + ' (' + directionOf(route) + '): '), result.word),
         el('p', {class: 'claim'}, claimOf(route)), el('p', {class: 'sentence'}, route.verdict.sentence),
         drawScale(route.verdict)),
      el('div', {class: 'aside'}, drawTopFields(route, place)));
}

function hiddenWords(route) {
  const groups = byState(route.fields());
  const hidden = STATE_ORDER.filter((state) => WITHOUT_STATE[state] && groups[state]);
  if (route.verdict.compared === 0) return 'Nothing has been compared.';
  if (hidden.length === 0) return 'No difference was seen in any field.';
  return 'Hidden: ' + hidden.map((state) => grouped(groups[state].length) + ' ' + STATES[state].word).join(', ') +
      '. Each says why, under \u201cFields that differ\u201d.';
}

function drawTopFields(route, place) {
  const real = route.fields().filter((field) => field.state === 'real').sort((a, b) => b.rate - a.rate);
  const heading =
      el('h2', null,
         real.length === 0 ? 'No field differs for real' :
                             many(real.length, 'field differs', 'fields differ') + ' for real');
  if (real.length === 0) return [heading, el('p', {class: 'soft', style: {marginTop: '.6rem'}}, hiddenWords(route))];
  const shown = real.slice(0, 5);
  return [
    heading,
    el('ul', {class: 'top-fields', style: {marginTop: '.9rem'}},
       shown.map(
           (field) =>
               el('li', null,
                  el('div', {class: 'line'}, fieldLink(field, place),
                     el('span', null, percent(field.rate, field.differing > 0))),
                  el('div', {class: 'small soft'},
                     field.endpoint.name + ' \u00b7 ' + many(field.differing, 'pair', 'pairs'))))),
    real.length > shown.length &&
        el('p', {class: 'small', style: {marginTop: '.6rem'}},
           el('a', {href: '#fields', click: scrollToFields}, 'All ' + grouped(real.length)))
  ];
}

function scrollToFields(event) {
  event.preventDefault();
  const heading = document.getElementById('fields-heading');
  heading.scrollIntoView();
  heading.focus({preventScroll: true});
}

/* ---- tiles ---- */

const PARTS = [
  {key: 'matched', look: 'match', word: 'matched'},
  {key: 'ignored', look: 'rule', word: 'ignored by rules'},
  {key: 'noiseOnly', look: 'noise', word: 'only noise'},
  {key: 'differing', look: 'differ', word: 'differ'},
];

const swatch = (look) => el('span', {class: 'swatch stack', 'aria-hidden': 'true'}, el('span', {class: look}));

function tile(look, name, big, ...sub) {
  const swatchLook = look.split(' ')[0];
  return el(
      'div', {class: 'tile ' + look},
      el('dt', null, PARTS.some((p) => p.look === swatchLook) ? swatch(swatchLook) : null, name),
      el('dd', {class: 'big'}, big), sub.filter(Boolean).map((words) => el('dd', {class: 'sub'}, words)));
}

function drawStack(totals) {
  return el(
      'div', {
        class: 'stack',
        role: 'img',
        'aria-label': PARTS.map((p) => p.word + ' ' + shareOf(totals[p.key], totals.compared)).join(', ')
      },
      totals.compared === 0 ? el('span', {class: 'none'}) :
                              PARTS.filter((p) => totals[p.key] > 0)
                                  .map((p) => el('span', {class: p.look, style: {flex: totals[p.key] + ' 0 0'}})));
}

const sumOf = (reasons) => reasons.reduce((sum, entry) => sum + entry[1], 0);

/* What the rate says nothing about, by reason. */
function drawLeftOut(name, total, reasons, none) {
  return el(
      'div', null, el('h3', null, name, ' ', el('b', {class: 'sum'}, grouped(total))),
      reasons.length === 0 ?
          el('p', {class: 'small soft'}, none) :
          el('dl', {class: 'reasons'},
             reasons.map(
                 ([reason, seen]) =>
                     [el('dt', null, reason.replaceAll('_', ' ')), el('dd', {class: 'n'}, grouped(seen)),
                      el('dd', null, REASONS[reason] ?? '')])));
}

function drawTiles(totals, notComparable, notMirrored, noise) {
  const unable = reasonsOf(notComparable);
  const unsent = reasonsOf(notMirrored);
  const tiles = el(
      'dl', {class: 'tiles', style: {marginTop: '1.1rem'}},
      tile(
          '', 'Compared', grouped(totals.compared),
          noise && noise.compared > 0 && grouped(noise.compared) + ' more with itself, for noise'),
      tile('match', 'Matched', grouped(totals.matched), shareOf(totals.matched, totals.compared)),
      tile(totals.differing > 0 ? 'differ' : 'differ none', 'Differ', grouped(totals.differing), shareOf(totals.differing, totals.compared), 'without noise'),
      tile('noise', 'Only noise', grouped(totals.noiseOnly), shareOf(totals.noiseOnly, totals.compared)),
      tile('rule', 'Ignored by rules', grouped(totals.ignored), shareOf(totals.ignored, totals.compared)));
  return [
    drawStack(totals), tiles,
    el('div', {class: 'pair without'},
       drawLeftOut('Not compared', totals.notComparable, unable, 'Every pair could be compared.'),
       notMirrored !== undefined &&
           drawLeftOut('Not mirrored or not answered, since shunt started', sumOf(unsent), unsent, 'Every request was mirrored.'))
  ];
}

/* ---- charts ---- */

const TIME_STEPS =
    [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080, 20160, 43200].map((minutes) => minutes * 60000);
const CHART = {
  height: 240,
  left: 62,
  right: 14,
  top: 12,
  bottom: 34
};

function widthMs(bucket) {
  return Math.max(1, count(bucket.width_s) || 60) * 1000;
}

/* [{ at, from, to, bucket, a, b }]: one point for each bucket, at its middle; a value may be null. */
function pointsOf(buckets, chart) {
  return buckets.filter((bucket) => count(bucket.at_ms) > 0)
      .map((bucket) => {
        const from = bucket.at_ms;
        return {
          bucket,
          from,
          to: from + widthMs(bucket),
          at: from + widthMs(bucket) / 2,
          a: chart.a.value(bucket),
          b: chart.b?.value(bucket) ?? null
        };
      })
      .sort((x, y) => x.at - y.at);
}

/* Where a bucket is missing or has no value, the line ends. */
function runsOf(points, series) {
  const runs = [];
  let last = null;
  for (const point of points) {
    if (point[series] === null) {
      last = null;
      continue;
    }
    if (last === null || point.from - last.to > 1000) runs.push([]);
    runs[runs.length - 1].push(point);
    last = point;
  }
  return runs;
}

function gapsOf(points) {
  const gaps = [];
  for (let i = 1; i < points.length; i++)
    if (points[i].from - points[i - 1].to > 1000) gaps.push([points[i - 1].to, points[i].from]);
  return gaps;
}

function timeTicks(from, to, room) {
  const step = TIME_STEPS.find((value) => (to - from) / value <= room) ?? TIME_STEPS[TIME_STEPS.length - 1];
  const ticks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) ticks.push(at);
  return {ticks: ticks.length > 0 ? ticks : [from], step};
}

function timeLabel(at, step, first) {
  const date = new Date(at);
  const midnight = at % 86400000 === 0;
  return step >= 86400000 ? day(date) : midnight || first ? day(date) + ' ' + clock(date) : clock(date);
}

function drawPlot(chart, buckets) {
  const points = pointsOf(buckets, chart);
  const box = el('div', {class: 'plot'});
  const readout = el('p', {class: 'readout', 'aria-live': 'polite'});
  const state = {width: 0, chosen: -1};
  const say = () => {
    readout.textContent = state.chosen < 0 ? chart.hint : plainText(chart.describe(points[state.chosen]));
  };
  const redraw = () => {
    if (state.width > 0) box.replaceChildren(plotSvg(chart, points, state, choose));
  };
  function choose(index) {
    state.chosen = Math.max(0, Math.min(points.length - 1, index));
    const focused = box.contains(document.activeElement);
    redraw();
    if (focused) box.querySelector('svg').focus({preventScroll: true});
    say();
  }
  say();
  new ResizeObserver((entries) => {
    const width = Math.round(entries[0].contentRect.width);
    if (width === state.width || width === 0) return;
    state.width = width;
    redraw();
  }).observe(box);
  return [box, readout];
}

function plotSvg(chart, points, state, choose) {
  const c = {...CHART, width: state.width};
  const from = points[0].from;
  const to = points[points.length - 1].to;
  const values = points.flatMap((point) => [point.a, point.b]).filter((value) => value !== null);
  let high = Math.max(0, ...values);
  let low = Math.min(0, ...values);
  if (high === low) high = chart.least;
  const ticks = niceTicks(low, high * 1.04, 4);
  high = Math.max(high * 1.04, ticks[ticks.length - 1]);
  const x = (at) => c.left + ((c.width - c.left - c.right) * (at - from)) / (to - from);
  const y = (value) => c.top + ((c.height - c.top - c.bottom) * (high - value)) / (high - low);
  const root = svg('svg', {
    viewBox: '0 0 ' + c.width + ' ' + c.height,
    tabindex: '0',
    role: 'group',
    class: 'area',
    'aria-label': chart.title + '. The left and right arrow keys move from point to point.'
  });
  append(root, [
    gapsOf(points).map(
        ([start, end]) =>
            svg('rect',
                {class: 'gap', x: x(start), width: x(end) - x(start), y: c.top, height: c.height - c.top - c.bottom})),
    ticks.map(
        (tick) =>
            [svg('line',
                 {class: tick === 0 ? 'base' : 'grid', x1: c.left, x2: c.width - c.right, y1: y(tick), y2: y(tick)}),
             svg('text', {x: c.left - 8, y: y(tick) + 4, 'text-anchor': 'end'}, chart.unit(tick))]),
    plotTimes(from, to, c, x),
    ['a', 'b'].map((series) => plotSeries(points, series, x, y)),
  ]);
  if (state.chosen >= 0) append(root, [plotCursor(points[state.chosen], c, x, y)]);
  listenToPlot(root, points, state, choose, c, from, to);
  return root;
}

function plotTimes(from, to, c, x) {
  const {ticks, step} = timeTicks(from, to, Math.max(2, (c.width - c.left) / 95));
  return ticks.filter((at) => x(at) < c.width - 24)
      .map(
          (at, i) =>
              [svg('line', {class: 'base', x1: x(at), x2: x(at), y1: c.height - c.bottom, y2: c.height - c.bottom + 4}),
               svg('text', {
                 x: Math.max(x(at), c.left + (i === 0 ? 14 : 0)),
                 y: c.height - c.bottom + 18,
                 'text-anchor': 'middle'
               },
                   timeLabel(at, step, i === 0)),
  ]);
}

function plotSeries(points, series, x, y) {
  return runsOf(points, series).map((run) => {
    if (run.length === 1) return svg('circle', {class: 'dot-' + series, cx: x(run[0].at), cy: y(run[0][series]), r: 3});
    const line = run.map((point) => x(point.at).toFixed(1) + ' ' + y(point[series]).toFixed(1)).join('L');
    const ends =
        'L' + x(run[run.length - 1].at).toFixed(1) + ' ' + y(0) + 'L' + x(run[0].at).toFixed(1) + ' ' + y(0) + 'Z';
    return [
      series === 'a' && svg('path', {class: 'fill', d: 'M' + line + ends}), svg('path', {class: series, d: 'M' + line})
    ];
  });
}

function plotCursor(point, c, x, y) {
  return [
    svg('line', {class: 'cursor', x1: x(point.at), x2: x(point.at), y1: c.top, y2: c.height - c.bottom}),
    ['a', 'b']
        .filter((series) => point[series] !== null)
        .map((series) => svg('circle', {class: 'dot-' + series, cx: x(point.at), cy: y(point[series]), r: 4}))
  ];
}

const PLOT_KEYS = {
  ArrowLeft: -1,
  ArrowRight: 1,
  PageUp: -10,
  PageDown: 10,
  Home: -Infinity,
  End: Infinity
};

function listenToPlot(root, points, state, choose, c, from, to) {
  root.addEventListener('keydown', (event) => {
    const step = PLOT_KEYS[event.key];
    if (step === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    choose(state.chosen < 0 ? (step < 0 ? points.length - 1 : 0) : state.chosen + step);
  });
  const nearest = (event) => {
    const bounds = root.getBoundingClientRect();
    const at = from + ((to - from) * (event.clientX - bounds.left - c.left)) / (c.width - c.left - c.right);
    let best = 0;
    points.forEach((point, i) => {
      if (Math.abs(point.at - at) < Math.abs(points[best].at - at)) best = i;
    });
    if (best !== state.chosen) choose(best);
  };
  root.addEventListener('pointermove', nearest);
  root.addEventListener('pointerdown', nearest);
}

function legend(chart) {
  const key = (series) => svg('svg', {viewBox: '0 0 30 12', 'aria-hidden': 'true', class: 'plot-key'}, svg('line', {
                                x1: 1,
                                x2: 29,
                                y1: 6,
                                y2: 6,
                                stroke: series === 'a' ? 'var(--series-a)' : 'var(--series-b)',
                                'stroke-width': 2.5,
                                'stroke-dasharray': series === 'b' ? '6 4' : null
                              }));
  return el(
      'div', {class: 'legend'},
      ['a', 'b'].filter((series) => chart[series]).map((series) => el('span', null, key(series), chart[series].name)));
}

function bucketTable(chart, buckets) {
  const points = pointsOf(buckets, chart).reverse();
  const limit = 500;
  return el(
      'div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': chart.title + ' as a table'},
      el('table', null,
         el('thead', null,
            el('tr', null, el('th', {scope: 'col'}, 'from (UTC)'),
               chart.columns.map((column) => el('th', {scope: 'col'}, column.name)))),
         el('tbody', null,
            points.slice(0, limit).map(
                (point) =>
                    el('tr', null, el('th', {scope: 'row'}, shortMoment(point.from)),
                       chart.columns.map((column) => el('td', null, column.show(point.bucket))))))),
      points.length > limit && el('p', {class: 'note'}, 'The newest ' + limit + ' of ' + grouped(points.length) + '.'));
}

function chartBody(chart, buckets) {
  if (pointsOf(buckets, chart).length === 0)
    return el(
        'p', {class: 'soft'},
        fleetWords() !== '' ? 'Only the report of a single replica has a course over time.' :
                              'Nothing has been measured over time yet.');
  return el(
      'div', null, legend(chart), drawPlot(chart, buckets), folded('As a table', () => bucketTable(chart, buckets)));
}

const HINT = 'Point at the chart, or use the arrow keys in it, to read one point.';
const comparedIn = (b) => count(b.matched) + count(b.ignored) + count(b.mismatched);
const part = (some, all) => (all > 0 ? some / all : null);
const spanWords = (point) => shortMoment(point.from) + ' UTC, ' +
    (widthMs(point.bucket) >= 3600000 ? 'one hour' : many(widthMs(point.bucket) / 60000, 'minute', 'minutes'));

const SHARE_COLUMNS = [
  {name: 'matched', show: (b) => grouped(count(b.matched))},
  {name: 'ignored', show: (b) => grouped(count(b.ignored))},
  {name: 'differ', show: (b) => grouped(count(b.mismatched))},
  {name: 'rate', show: (b) => percent(part(count(b.mismatched), comparedIn(b)), count(b.mismatched) > 0)},
  {name: 'not compared', show: (b) => grouped(count(b.not_comparable))},
];

function shareChart(label, title, name, value) {
  return {
    label,
    title,
    least: 0.01,
    unit: tickPercent,
    hint: HINT,
    columns: SHARE_COLUMNS,
    a: {name, value},
    describe: (point) => spanWords(point) + ': ' + grouped(count(point.bucket.mismatched)) + ' of ' +
        grouped(comparedIn(point.bucket)) + ' differ (' +
        percent(part(count(point.bucket.mismatched), comparedIn(point.bucket)), count(point.bucket.mismatched) > 0) +
        '), ' + grouped(count(point.bucket.ignored)) + ' ignored, ' + grouped(count(point.bucket.matched)) +
        ' matched, ' + grouped(count(point.bucket.not_comparable)) + ' not compared',
  };
}

const SHARE_CHARTS = [
  shareChart(
      'Differ', 'Share of differing answers', 'differ, of those compared; noise included',
      (b) => part(count(b.mismatched), comparedIn(b))),
  shareChart(
      'Ignored', 'Share of answers that rules ignored', 'differ only where a rule says that it does not matter',
      (b) => part(count(b.ignored), comparedIn(b))),
  shareChart(
      'Not compared', 'Share of pairs that could not be compared', 'could not be compared, of all pairs',
      (b) => part(count(b.not_comparable), comparedIn(b) + count(b.not_comparable))),
];

function latencyChart(label, title, a, b, signed) {
  const show = signed ? signedMilliseconds : milliseconds;
  return {
    label,
    title,
    least: 1,
    unit: (tick) => (tick < 0 ? MINUS : '') + String(Number(Math.abs(tick).toPrecision(3))) + '\u00a0ms',
    hint: HINT,
    a: {name: a[1], value: (bucket) => number(bucket[a[0]])},
    b: {name: b[1], value: (bucket) => number(bucket[b[0]])},
    describe: (point) => spanWords(point) + ': ' + a[1] + ' ' + show(point.a) + ', ' + b[1] + ' ' + show(point.b) +
        ' (' + many(comparedIn(point.bucket), 'pair', 'pairs') + ')',
    columns: [
      {name: a[1], show: (bucket) => show(number(bucket[a[0]]))},
      {name: b[1], show: (bucket) => show(number(bucket[b[0]]))},
      {name: 'pairs', show: (bucket) => grouped(comparedIn(bucket))}
    ],
  };
}

function latencyCharts(route) {
  const primary = 'primary (' + sideName(route, 'primary') + ')';
  const shadow = 'shadow (' + sideName(route, 'shadow') + ')';
  return [
    latencyChart(
        'Difference', 'How much longer the shadow took, same requests', ['difference_p95_ms', '95th percentile'],
        ['difference_p50_ms', 'median'], true),
    latencyChart(
        'Both, p95', 'Latency of both sides, 95th percentile', ['primary_p95_ms', primary], ['shadow_p95_ms', shadow],
        false),
    latencyChart(
        'Both, median', 'Latency of both sides, median', ['primary_p50_ms', primary], ['shadow_p50_ms', shadow], false),
  ];
}

/* A card with several charts of which one is shown. */
function drawCharts(id, heading, charts, buckets) {
  const body = el('div');
  const buttons = charts.map((chart, i) => el('button', {type: 'button', click: () => show(i)}, chart.label));
  function show(index) {
    buttons.forEach((button, i) => button.setAttribute('aria-pressed', String(i === index)));
    body.replaceChildren(chartBody(charts[index], buckets));
  }
  show(0);
  return el(
      'section', {class: 'card', 'aria-labelledby': id},
      el('div', {class: 'head'}, el('h2', {id}, heading),
         el('div', {class: 'switch', role: 'group', 'aria-label': 'What the chart shows'}, buttons)),
      body);
}

/* ---- paired latency in words ---- */

function latencyWords(paired, shadow) {
  const d = object(paired.difference_ms);
  const r = object(paired.ratio);
  const median = number(d.p50);
  const sentences = [];
  if (number(paired.slower) !== null)
    sentences.push(
        'The shadow (' + shadow + ') took longer in ' + percent(paired.slower, true) + ' of ' +
        grouped(count(paired.count)) + ' pairs.');
  if (median !== null)
    sentences.push(
        'In the middle of all pairs it took ' + milliseconds(Math.abs(median)) + (median < 0 ? ' less' : ' more') +
        (number(r.p50) !== null ? ' (' + times(r.p50) + ')' : '') + '.');
  if (number(d.p95) !== null)
    sentences.push(
        'One pair in twenty was slower by ' + milliseconds(d.p95) + ' or more, one in a hundred by ' +
        milliseconds(d.p99) + '.');
  if (number(d.p5) !== null && d.p5 < 0)
    sentences.push('At the other end, one in twenty was faster by ' + milliseconds(-d.p5) + ' or more.');
  return sentences.join(' ');
}

function latencyTable(latency, route) {
  const paired = object(latency.paired);
  const columns =
      [['p5_ms', 'p5', '5 %'], ['p50_ms', 'p50', 'median'], ['p95_ms', 'p95', '95 %'], ['p99_ms', 'p99', '99 %']];
  const row = (name, source, key, show) =>
      el('tr', null, el('th', {scope: 'row'}, name),
         columns.map((column) => el('td', null, show(number(source[column[key]])))));
  return el(
      'div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Latency quantiles'},
      el('table', null,
         el('thead', null,
            el('tr', null, el('th', {scope: 'col'}, 'Quantile'),
               columns.map((column) => el('th', {scope: 'col'}, column[2])))),
         el('tbody', null,
            row('Primary (' + sideName(route, 'primary') + ')', object(latency.primary), 0, milliseconds),
            row('Shadow (' + sideName(route, 'shadow') + ')', object(latency.shadow), 0, milliseconds),
            row('Difference, by pair', object(paired.difference_ms), 1, signedMilliseconds),
            row('Ratio, by pair', object(paired.ratio), 1, times))));
}

function drawLatency(raw, route) {
  const latency = object(raw);
  const paired = object(latency.paired);
  if (count(paired.count) === 0 && count(object(latency.primary).count) === 0)
    return el('p', {class: 'soft'}, 'No pair has been timed yet.');
  return el(
      'div', {class: 'latency'},
      el('div', null, el('p', null, latencyWords(paired, sideName(route, 'shadow'))),
         el('p', {class: 'small soft', style: {marginTop: '.5rem'}},
            'Each difference and ratio is of the two answers to one request: that says more than two distributions.')),
      latencyTable(latency, route));
}

/* ---- fields ---- */

const fieldPlace = (field, place) => ({r: place.r, p: place.p, e: field.endpoint.name, f: field.name});
const fieldLink = (field, place) =>
    el('a', {class: 'mono', href: addressOf(fieldPlace(field, place)), 'data-field': field.name},
       field.name || '(no name)');

/* Both bars on one scale: it is their proportion that decides. */
function fieldMeter(field) {
  if (field.state === 'ignored')
    return el(
        'div', {class: 'meter one'}, el('span', null, 'ignored in'),
        el('b', null, many(field.ignored, 'pair', 'pairs')));
  const whole = Math.max(field.rate, field.noiseRate ?? 0);
  return el(
      'div', {class: 'meter'}, el('span', null, 'differs'), gauge(field.rate, whole),
      el('b', null, percent(field.rate, field.differing > 0)), el('span', null, 'by itself'),
      field.noiseRate === null ? el('span') : gauge(field.noiseRate, whole, 'noise'),
      field.noiseRate === null ? el('b', {class: 'soft'}, 'not measured') :
                                 el('b', null, percent(field.noiseRate, field.noise > 0)));
}

function exampleOf(field) {
  const example = field.example;
  const side = (name) =>
      (example[name] === undefined ? el('em', {class: 'soft'}, 'nothing') :
                                     el('span', {class: 'value'}, text(example[name]) || '""'));
  if (example.primary === undefined && example.shadow === undefined) return null;
  return el(
      'div', {class: 'facts'},
      el('span', null, 'for example ', side('primary'), el('span', {class: 'arrow'}, '\u2192', unseen('became')),
         side('shadow'),
         text(example.path) && text(example.path) !== field.name ? [' at ', el('code', null, text(example.path))] :
                                                                   null));
}

function fieldRow(field, place, withEndpoint) {
  return el(
      'li', {class: 'row', 'data-row': 'field'},
      el('div', null,
         el('div', {class: 'facts', style: {margin: '0'}}, el('span', {class: 'name'}, fieldLink(field, place)),
            pill(field.state),
            field.kinds.map(
                ([kind, seen]) => el('span', {class: 'chip', title: KINDS[kind]}, kind + ' ' + grouped(seen)))),
         field.why && el('div', {class: 'facts why'}, field.why), exampleOf(field),
         withEndpoint && el('div', {class: 'facts'}, 'in ', el('span', {class: 'mono'}, field.endpoint.name))),
      fieldMeter(field));
}

const WITHOUT_STATE = {
  noise: 1,
  rare: 1,
  undecided: 1,
  ignored: 1
};

function fieldMatches(field, place) {
  if (place.kind && !field.kinds.some((entry) => entry[0] === place.kind)) return false;
  return !place.q || field.haystack.includes(place.q.toLowerCase());
}

function byState(fields) {
  const groups = {};
  for (const field of fields) (groups[field.state] ??= []).push(field);
  return groups;
}

/* Real ones first and open; the others by state, folded, with the sentence that says why they are hidden. */
function drawFields(fields, place, withEndpoint) {
  const matching = fields.filter((field) => fieldMatches(field, place));
  const groups = byState(matching.sort((a, b) => (a.name === '(other)') - (b.name === '(other)') || b.rate - a.rate));
  const wanted = STATES[place.state] ? [place.state] : ['real'];
  const out = [];
  for (const state of wanted) {
    const shown = groups[state] ?? [];
    if (shown.length > 0)
      out.push(
          state !== 'real' && el('p', {class: 'state-note'}, STATES[state].note),
          longList(shown, (field) => fieldRow(field, place, withEndpoint), 40));
    else
      out.push(el('p', {class: 'soft'}, noneWords(place, state)));
  }
  if (STATES[place.state]) return out;
  const hidden = STATE_ORDER.filter((state) => WITHOUT_STATE[state] && groups[state]);
  for (const state of hidden)
    out.push(
        el('div', {style: {marginTop: '1rem'}},
           folded(
               [grouped(groups[state].length) + ' hidden: ', STATES[state].word],
               () =>
                   [el('p', {class: 'state-note'}, STATES[state].note),
                    longList(groups[state], (field) => fieldRow(field, place, withEndpoint), 40)],
               place.state === 'all' || place.q !== '')));
  return out;
}

function noneWords(place, state) {
  if (place.q || place.kind)
    return 'No ' + (state === 'real' ? 'really differing' : STATES[state].word) + ' field matches.';
  return state === 'real' ? 'No field differs for real.' : 'No field is ' + STATES[state].word + '.';
}

/* ---- endpoints ---- */

function endpointRow(endpoint, place, most) {
  const t = endpoint.totals;
  const rate = t.compared > 0 ? t.differing / t.compared : 0;
  return el(
      'li', {class: 'row', 'data-row': 'endpoint'},
      el('div', null,
         el('div', {class: 'name'},
            el('a', {
              class: 'mono',
              href: addressOf({r: place.r, p: place.p, e: endpoint.name}),
              'data-endpoint': endpoint.name
            },
               endpoint.name || '(no name)')),
         el('div', {class: 'facts'},
            endpoint.real.length > 0 ? pillWords('fail', '\u2260', many(endpoint.real.length, 'field', 'fields')) :
                t.compared > 0       ? pillWords('pass', '\u2713', 'no real field') :
                                       null,
            el('span', null, grouped(t.compared) + ' compared'),
            t.noiseOnly > 0 && el('span', null, grouped(t.noiseOnly) + ' only noise'),
            t.notComparable > 0 && el('span', null, grouped(t.notComparable) + ' not compared'),
            endpoint.name === '(other)' && el('span', null, 'requests of endpoints that found no row of their own'))),
      el('div', {class: 'meter one'}, gauge(rate, most),
         el('b', null, t.compared === 0 ? NONE : grouped(t.differing) + ' \u00b7 ' + percent(rate, t.differing > 0)),
         unseen(t.compared === 0 ? 'nothing compared' : 'differ')));
}

const pillWords = (look, glyph, words) =>
    el('span', {class: 'pill ' + look}, el('span', {'aria-hidden': 'true'}, glyph), words);

function drawEndpoints(endpoints, place) {
  if (endpoints.length === 0)
    return el('p', {class: 'soft'}, place.q ? 'No endpoint matches.' : 'No endpoint has been seen yet.');
  const most = Math.max(...endpoints.map((e) => (e.totals.compared > 0 ? e.totals.differing / e.totals.compared : 0)));
  return longList(endpoints, (endpoint) => endpointRow(endpoint, place, most), 30);
}

function drawGroups(endpoint, place) {
  const groups = objects(endpoint.raw.groups);
  if (groups.length === 0) return null;
  const name = (field) => el(
      'a', {class: 'mono', href: addressOf({r: place.r, p: place.p, e: endpoint.name, f: text(field)})}, text(field));
  const draw = (group) =>
      el('li', {class: 'row'},
         el('div', {class: 'facts', style: {margin: '0'}},
            list(group.fields).map((field, i) => [i > 0 && el('span', null, '+'), name(field)]),
            group.noise === true && pill('noise')),
         el('div', {class: 'facts', style: {margin: '0'}}, el('span', null, many(count(group.pairs), 'pair', 'pairs')),
            el('span', null, 'last ' + shortMoment(group.last_ms) + ' UTC')));
  return el(
      'section', {class: 'card', 'aria-labelledby': 'groups'}, el('h2', {id: 'groups'}, 'What differs together'),
      el('p', {class: 'state-note'}, 'Pairs that differ in exactly these fields. One line is often one cause.'),
      longList(groups, draw, 12));
}

/* ---- search and filters ---- */

function select(label, key, options, place, change) {
  return el(
      'label', null, label,
      el('select', {'data-filter': key, change: (event) => change({[key]: event.target.value})},
         options.map(([value, words]) => el('option', {value, selected: (place[key] || '') === value}, words))));
}

function drawTools(place, kinds) {
  const states = [
    ['', 'really differing'], ['all', 'all, unfolded'],
    ...STATE_ORDER.slice(1).map((state) => [state, STATES[state].word])
  ];
  const clear = place.state || place.kind || place.q;
  return el(
      'div', {class: 'tools'}, select('State', 'state', states, place, changeFilters),
      select('Kind', 'kind', [['', 'any'], ...kinds.map((kind) => [kind, kind])], place, changeFilters),
      clear &&
          el('button', {type: 'button', class: 'button', click: () => changeFilters({state: '', kind: '', q: ''})},
             'Clear filters'));
}

const kindsOf = (fields) =>
    Object.keys(KINDS).filter((kind) => fields.some((field) => field.kinds.some((entry) => entry[0] === kind)));

function drawFieldsCard(fields, place, heading, withEndpoint) {
  return el(
      'section', {class: 'card', 'aria-labelledby': 'fields-heading'},
      el('div', {class: 'head'}, el('h2', {id: 'fields-heading', tabindex: '-1'}, heading),
         drawTools(place, kindsOf(fields))),
      fields.length > 0 &&
          el('p', {class: 'state-note'},
             'The two bars of a field share a scale: what counts is how far the first exceeds the second.'),
      el('div', {id: 'field-list'}, drawFields(fields, place, withEndpoint)));
}

/* ---- rules, limits ---- */

const note = (suggestion) => (text(suggestion.why) ? ' # ' + plainText(text(suggestion.why)).replace(/\s+/g, ' ') : '');

/* At most as many decimals as the configuration reads, rounded up: the rule must cover what was seen. */
function yamlPercent(rate) {
  const value = count(rate) * 100;
  const digits = value < 1 ? 2 : value < 10 ? 1 : 0;
  return Math.min(100, Math.ceil(value * 10 ** digits - 1e-9) / 10 ** digits).toFixed(digits) + '%';
}

const YAML_FORMS = {
  ignore: (suggestion) => JSON.stringify(text(suggestion.path)),
  tolerance: (suggestion) =>
      '{ path: ' + JSON.stringify(text(suggestion.path)) + ', relative: ' + yamlPercent(suggestion.relative) + ' }',
  unordered: (suggestion) => JSON.stringify(text(suggestion.path)),
};

/* As `shuntctl report --suggest-rules` prints them. */
function suggestionYaml(suggestions) {
  const lines = [];
  for (const [rule, form] of Object.entries(YAML_FORMS)) {
    const those = suggestions.filter((suggestion) => text(suggestion.rule) === rule && text(suggestion.path));
    if (those.length > 0)
      lines.push(rule + ':', ...those.map((suggestion) => '  - ' + form(suggestion) + note(suggestion)));
  }
  return lines.join('\n') + '\n';
}

function drawRules(route) {
  const rules = objects(route.raw.rules);
  const refused = list(route.raw.rules_refused).map(text).filter(Boolean);
  const suggestions = objects(route.raw.suggestions);
  if (rules.length + refused.length + suggestions.length === 0) return null;
  const yaml = suggestionYaml(suggestions);
  return el(
      'section', {class: 'card', 'aria-labelledby': 'rules'}, el('h2', {id: 'rules'}, 'Rules'),
      el('div', null,
         refused.length > 0 &&
             el('div', {class: 'block'}, el('h3', null, 'Refused'),
                el('p', {class: 'state-note'}, 'These were not understood and have no effect.'),
                el('ul', {class: 'bullets'}, refused.map((words) => el('li', null, el('code', null, words))))),
         rules.length > 0 && el('div', {class: 'block'}, el('h3', {class: 'unseen'}, 'In the file'), ruleTable(rules)),
         suggestions.length > 0 &&
             el('div', {class: 'block'},
                el('div', {class: 'head'}, el('h3', null, 'Suggested'), copyButton('Copy YAML', () => yaml)),
                el('p', {class: 'state-note'},
                   'They would take away what is noise, order or rounding. After reading them, paste them under ' +
                       'routes[].shadow.compare, into the lists that are there already.'),
                el('pre', {class: 'snippet', tabindex: '0', 'aria-label': 'Suggested rules as YAML'}, yaml))));
}

function ruleTable(rules) {
  const sorted =
      [...rules].sort((a, b) => (count(a.pairs) > 0) - (count(b.pairs) > 0) || count(b.pairs) - count(a.pairs));
  return el(
      'table', {class: 'words'},
      el('thead', null,
         el('tr', null, el('th', {scope: 'col'}, 'Rule'), el('th', {scope: 'col'}, 'Changed something in'))),
      el('tbody', null,
         sorted.map(
             (rule) =>
                 el('tr', null, el('th', {scope: 'row'}, el('code', null, text(rule.rule))),
                    el('td', null,
                       count(rule.pairs) > 0 ? 'about ' + many(count(rule.pairs), 'pair', 'pairs') :
                                               pillWords('wait', '!', 'never matched anything'))))));
}

function noiseRuleWords(rule) {
  if (count(rule.percent) === 0)
    return 'Noise is not measured on this route (shadow.noise.percent is 0), so every difference counts as real.';
  return 'A second copy of ' + setting(rule.percent) +
      ' of the mirrored safe requests goes to the primary\u2019s own side. ' +
      'A field is shown when it differs between the sides more often than ' +
      'by itself, by more than ' + setting(rule.relative) + ' of the two rates\u2019 sum and by more than ' +
      setting(rule.absolute) + ' of all pairs, and when the excess is significant at ' + setting(rule.confidence) +
      ' confidence.';
}

/* Everything is bounded; what found no row is counted, and here it is said. */
function limitWords(limits) {
  const words = [];
  const rest = (beyond) =>
      (beyond === true ? ' Some found none and are counted together under \u201c(other)\u201d.' : ' All found one.');
  if (number(limits.endpoints) !== null)
    words.push('At most ' + grouped(limits.endpoints) + ' endpoints have a row.' + rest(limits.endpoints_beyond));
  if (number(limits.fields) !== null)
    words.push(
        'At most ' + grouped(limits.fields) + ' fields of an endpoint have a row' +
        (number(limits.fields_of_route) !== null ? ', and ' + grouped(limits.fields_of_route) + ' of the route' : '') +
        '.' + rest(limits.fields_beyond));
  if (limits.bytes_beyond === true)
    words.push(
        'The report has reached its bound of memory (' + bytes(limits.bytes) +
        '): new endpoints and fields are counted under \u201c(other)\u201d.');
  return words;
}

function drawNotes(route) {
  const bounds = limitWords(object(route.raw.limits)).map((words) => el('li', null, words));
  return el(
      'section', {class: 'card', 'aria-labelledby': 'notes'}, el('h2', {id: 'notes'}, 'How to read this'),
      el('ul', {class: 'bullets'},
         el('li', null, 'The primary (', el('b', null, sideName(route, 'primary')),
            ') answered the client; the shadow (', el('b', null, sideName(route, 'shadow')),
            ') got a copy of the request, and its answer was compared and thrown away.'),
         el('li', null, noiseRuleWords(object(route.raw.noise_rule))),
         el('li', null,
            'What could not be compared is not agreement: it is left out of the rate, and counted above by reason.'),
         bounds,
         el('li', null,
            'All times are UTC. First pair ' + moment(route.raw.since_ms) + ', newest ' + moment(route.raw.last_ms) +
                '.')));
}

/* ---- bodies: lines with paths ---- */

/* "$.items[3]['a b']" as a key that does not depend on how the path was written. */
function pathKey(path) {
  const steps = [];
  const pattern = /\.([^.[\]]+)|\[(\d+)\]|\[(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\]/gy;
  pattern.lastIndex = path.startsWith('$') ? 1 : 0;
  for (let found; (found = pattern.exec(path)) !== null;) {
    if (found[2] !== undefined)
      steps.push('#' + found[2]);
    else
      steps.push('.' + (found[1] ?? (found[3] ?? found[4]).replace(/\\(.)/gs, '$1')));
    if (pattern.lastIndex === path.length) return steps.join('\u0000');
  }
  return path === '$' ? '' : null;
}

function memberName(raw) {
  try {
    return JSON.parse(raw);
  } catch {
    return raw.replace(/^"|"$/g, '');
  }
}

/*
 * JSON as lines, read by hand: numbers keep their digits, a body that was cut is shown as far as it goes, and no depth
 * is too deep. Each line: depth, key, value, path, and whether it opens or closes something.
 */
function jsonLines(body) {
  const token = /\s*(?:("[^"\\]*(?:\\.[^"\\]*)*"?)|([{}[\]])|([,:])|([^\s{}[\],:"]+))/gys;
  const lines = [];
  const open = [];
  const pathOf = () => {
    const frame = open[open.length - 1];
    if (frame === undefined) return '';
    const step = frame.array ? '#' + frame.index : '.' + memberName(frame.key ?? '');
    return frame.path === '' ? step : frame.path + '\u0000' + step;
  };
  const push = (value, more) => {
    const frame = open[open.length - 1];
    lines.push({
      depth: open.length,
      key: frame && !frame.array ? frame.key : null,
      value,
      path: pathOf(),
      comma: false,
      ...more
    });
  };
  for (let found; (found = token.exec(body)) !== null;) {
    const [, string, bracket, mark, word] = found;
    const frame = open[open.length - 1];
    if (mark === ',') {
      if (frame) {
        frame.index++;
        frame.key = null;
      }
      if (lines.length > 0) lines[lines.length - 1].comma = true;
    } else if (mark === ':')
      continue;
    else if (string !== undefined && frame && !frame.array && frame.key === null)
      frame.key = string;
    else if (bracket === '{' || bracket === '[') {
      push(bracket, {opens: true});
      open.push({array: bracket === '[', index: 0, key: null, path: lines[lines.length - 1].path});
    } else if (bracket !== undefined)
      closeBracket(lines, open, bracket);
    else
      push(string ?? word, {});
  }
  return numberRoots(lines);
}

/* Several values one after another are lines of JSON, whose paths begin with the line's number. */
function numberRoots(lines) {
  const isRoot = (line) => line.depth === 0 && !line.closes;
  if (lines.filter(isRoot).length < 2) return lines;
  let root = -1;
  for (const line of lines) {
    if (isRoot(line)) root++;
    line.path = line.path === '' ? '#' + root : '#' + root + '\u0000' + line.path;
  }
  return lines;
}

function closeBracket(lines, open, bracket) {
  const frame = open.pop();
  if (frame === undefined) return;
  const last = lines[lines.length - 1];
  if (last.opens && last.path === frame.path && last.depth === open.length) {
    last.opens = false;
    last.value += bracket;
  } else
    lines.push({depth: open.length, key: null, value: bracket, path: frame.path, comma: false, closes: true});
}

const textLines = (body) =>
    body.split(/\r\n|\n/).map((value) => ({depth: 0, key: null, value, path: null, comma: false}));

/* Rows [left, right] of indexes, null for nothing there: the longest common subsequence of the keys, in order. */
function align(left, right) {
  let start = 0;
  while (start < left.length && start < right.length && left[start] === right[start]) start++;
  let end = 0;
  while (end < left.length - start && end < right.length - start &&
         left[left.length - 1 - end] === right[right.length - 1 - end])
    end++;
  const rows = [];
  for (let i = 0; i < start; i++) rows.push([i, i]);
  const a = left.slice(start, left.length - end);
  const b = right.slice(start, right.length - end);
  for (const [i, j] of a.length * b.length <= 1500000 ? alignExactly(a, b) : alignGreedily(a, b))
    rows.push([i === null ? null : i + start, j === null ? null : j + start]);
  for (let i = end; i > 0; i--) rows.push([left.length - i, right.length - i]);
  return rows;
}

function alignExactly(a, b) {
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      common[i * width + j] = a[i] === b[j] ? common[(i + 1) * width + j + 1] + 1 :
                                              Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
  const rows = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j])
      rows.push([i++, j++]);
    else if (j === b.length || (i < a.length && common[(i + 1) * width + j] >= common[i * width + j + 1]))
      rows.push([i++, null]);
    else
      rows.push([null, j++]);
  }
  return rows;
}

/* For bodies too long for that: each line meets the next one of its key. */
function alignGreedily(a, b) {
  const places = new Map();
  b.forEach((key, j) => {
    if (places.has(key))
      places.get(key).push(j);
    else
      places.set(key, [j]);
  });
  const rows = [];
  let next = 0;
  a.forEach((key, i) => {
    const j = (places.get(key) ?? []).find((place) => place >= next && place < next + 400);
    if (j === undefined) {
      rows.push([i, null]);
      return;
    }
    while (next < j) rows.push([null, next++]);
    rows.push([i, next++]);
  });
  while (next < b.length) rows.push([null, next++]);
  return rows;
}

/* A removed block and the added block after it are the same lines, changed. */
function pairChanges(rows) {
  const out = [];
  for (let i = 0; i < rows.length;) {
    if (rows[i][0] !== null && rows[i][1] !== null) {
      out.push(rows[i++]);
      continue;
    }
    const gone = [];
    const come = [];
    for (; i < rows.length && (rows[i][0] === null || rows[i][1] === null); i++)
      (rows[i][1] === null ? gone : come).push(rows[i][0] ?? rows[i][1]);
    for (let k = 0; k < Math.max(gone.length, come.length); k++) out.push([gone[k] ?? null, come[k] ?? null]);
  }
  return out;
}

/* ---- bodies: which places differ, and how ---- */

/* 'real', 'noise', 'ignored' or 'also' (hidden for another reason), as the report judges the field. */
function lookOf(difference, endpoint) {
  if (difference.ignored === true) return 'ignored';
  const field = endpoint?.fields.find((candidate) => candidate.name === text(difference.field));
  if (field === undefined || field.state === 'real') return 'real';
  return field.state === 'noise' ? 'noise' : 'also';
}

const SIGNS = {
  missing: ['\u2212', ''],
  extra: ['', '+'],
  order: ['\u21c5', '\u21c5']
};
const WHOLE = {
  missing: true,
  extra: true,
  type: true,
  duplicate: true
};

function marksOf(sample, endpoint) {
  const marks = new Map();
  for (const difference of sample.differences) {
    const key = pathKey(text(difference.path));
    if (key !== null && text(difference.path).startsWith('$'))
      marks.set(key, {kind: text(difference.kind), look: lookOf(difference, endpoint)});
  }
  return marks;
}

/* Every line of one side gets the mark of its own path, or of the nearest value around it that differs as a whole. */
function markLines(lines, marks, side) {
  let around = null;
  for (const line of lines) {
    if (around !== null && (line.depth < around.depth || (line.depth === around.depth && line.path !== around.path)))
      around = null;
    const own = line.path === null ? undefined : marks.get(line.path);
    if (own !== undefined && !(own.kind === 'missing' && side === 1) && !(own.kind === 'extra' && side === 0)) {
      line.mark = {...own, sign: (SIGNS[own.kind] ?? ['\u2260', '\u2260'])[side], value: !line.closes};
      if (WHOLE[own.kind] && line.opens) around = {depth: line.depth, path: line.path, mark: own};
    } else if (around !== null)
      line.mark = {...around.mark, sign: (SIGNS[around.mark.kind] ?? ['\u2260', '\u2260'])[side], value: false};
  }
}

/* What is not the same although no difference names it: a rule covers it, or the list of differences was full. */
function markOthers(rows, left, right, look) {
  for (const [i, j] of rows) {
    const a = i === null ? null : left[i];
    const b = j === null ? null : right[j];
    if (a === null || b === null) {
      const only = a ?? b;
      only.mark ??= {kind: a === null ? 'extra' : 'missing', look, sign: a === null ? '+' : '\u2212', value: false};
    } else if (a.value !== b.value && !a.opens && !b.opens && !a.closes && !b.closes) {
      a.mark ??= {kind: 'value', look, sign: '\u2260', value: true, against: b.value};
      b.mark ??= {kind: 'value', look, sign: '\u2260', value: true, against: a.value};
    }
  }
}

/* Lines of text have no paths: they are judged together, by what differs in the body most seriously. */
function lookOfBody(sample, endpoint) {
  const looks = sample.differences.filter((difference) => !/^(status$|header:)/.test(text(difference.field)))
                    .map((difference) => lookOf(difference, endpoint));
  return ['real', 'also', 'noise', 'ignored'].find((look) => looks.includes(look)) ?? 'also';
}

function bodyRows(sample, endpoint) {
  const answers = [sample.primary, sample.shadow];
  const bodies = answers.map((answer) => (typeof answer.body === 'string' ? answer.body : null));
  if (bodies[0] === null && bodies[1] === null) return null;
  const json = answers.some((answer) => answer.type === 'json') &&
      answers.every((answer, i) => bodies[i] === null || answer.type === 'json');
  const sides = bodies.map((body) => (body === null ? [] : json ? jsonLines(body) : textLines(body)));
  const both = bodies[0] !== null && bodies[1] !== null;
  let rows;
  if (json) {
    const key = (line) => line.path + (line.closes ? '\u0001' : '');
    rows = align(sides[0].map(key), sides[1].map(key));
    const marks = marksOf(sample, endpoint);
    sides.forEach((lines, side) => markLines(lines, marks, side));
    if (both) markOthers(rows, sides[0], sides[1], 'also');
  } else {
    rows = pairChanges(align(sides[0].map((line) => line.value), sides[1].map((line) => line.value)));
    if (both) markOthers(rows, sides[0], sides[1], lookOfBody(sample, endpoint));
  }
  return {rows, sides, bodies};
}

/* Runs of rows without a mark, but for three beside one, are folded. */
function foldRows({rows, sides}) {
  const marked = rows.map(([i, j]) => Boolean((i !== null && sides[0][i].mark) || (j !== null && sides[1][j].mark)));
  const near = new Uint8Array(rows.length);
  marked.forEach((is, at) => {
    if (is) near.fill(1, Math.max(0, at - 3), at + 4);
  });
  if (!marked.includes(true)) near.fill(1, 0, 20);
  const parts = [];
  for (let at = 0; at < rows.length;) {
    let end = at;
    while (end < rows.length && near[end] === near[at]) end++;
    parts.push({from: at, to: end, folded: !near[at] && end - at > 4});
    at = end;
  }
  return parts;
}

const KIND_WORDS = {
  real: 'differs',
  noise: 'noise',
  ignored: 'ignored by a rule',
  also: 'differs, not counted as real'
};

function valueParts(line) {
  const against = line.mark?.against;
  if (!line.mark?.value) return [line.value];
  if (against === undefined) return [el('mark', null, line.value)];
  let start = 0;
  while (start < line.value.length && line.value[start] === against[start]) start++;
  let end = 0;
  while (end < line.value.length - start && end < against.length - start &&
         line.value[line.value.length - 1 - end] === against[against.length - 1 - end])
    end++;
  const middle = line.value.slice(start, line.value.length - end);
  return [
    line.value.slice(0, start), middle === '' ? null : el('mark', null, middle),
    line.value.slice(line.value.length - end)
  ];
}

function codeLine(line) {
  if (line === null) return el('div', {class: 'ln void', 'aria-hidden': 'true'}, ' ');
  const mark = line.mark;
  return el(
      'div', {class: 'ln ' + (mark ? mark.look : '')},
      el('span', {class: 'sign', 'aria-hidden': 'true'}, mark ? mark.sign : ''),
      mark && unseen('(' + KIND_WORDS[mark.look] + ') '),
      el('span', {class: 'raw'}, '  '.repeat(Math.min(line.depth, 40)),
         line.key !== null && [el('span', {class: 'key'}, line.key), ': '], valueParts(line), line.comma && ','));
}

/* Both bodies as two panes whose rows stand side by side; opening a fold opens it on both. */
function drawBodies(aligned, names) {
  const parts = foldRows(aligned);
  const panes = [0, 1].map(
      (side) => el('div', {class: 'code', tabindex: '0', role: 'region', 'aria-label': 'Body of ' + names[side]}));
  function paint() {
    panes.forEach((pane, side) => pane.replaceChildren(...parts.flatMap((piece) => {
      if (piece.folded) return [foldButton(piece, side)];
      return aligned.rows.slice(piece.from, piece.to)
          .map((row) => codeLine(row[side] === null ? null : aligned.sides[side][row[side]]));
    })));
  }
  function foldButton(piece, side) {
    return el(
        'button', {
          type: 'button',
          click: () => {
            piece.folded = false;
            paint();
            panes[side].focus();
          }
        },
        '\u22ef ' + grouped(piece.to - piece.from) + ' equal lines');
  }
  paint();
  return panes;
}

/* ---- one sample ---- */

const HIDDEN_VALUES = {
  redacted: 'Values are replaced by their type and length, so equal placeholders may stand for different values; ' +
      'the marks say where they differ.',
  hashed: 'Values are replaced by a keyed hash: equal values have equal hashes.',
  full: 'Values are shown in full, but for what is known to be secret.',
};

function headerLine(name, value, marks) {
  const look = marks.get(name.toLowerCase());
  return el(
      'div', null, el('span', {class: 'soft'}, name + ': '),
      look ? el('span', {class: look === 'real' ? null : look}, el('mark', null, value)) : value);
}

function headerMarks(sample, endpoint) {
  const marks = new Map();
  for (const difference of sample.differences) {
    const found = /^header:(.+)$/i.exec(text(difference.field));
    if (found !== null) marks.set(found[1].toLowerCase(), lookOf(difference, endpoint));
  }
  return marks;
}

const headersOf = (raw) =>
    list(raw).filter((pair) => Array.isArray(pair)).map((pair) => [text(pair[0]), text(pair[1])]);

function drawAnswer(answer, name, side, sample, context) {
  const statusDiffers = sample.differences.some((difference) => text(difference.field) === 'status');
  const status = number(answer.status) === null ? NONE : String(answer.status);
  const headers = headersOf(answer.headers);
  const body = context.panes?.[side];
  const has = typeof answer.body === 'string';
  return el(
      'section', {class: 'side', 'aria-label': name, 'data-side': side === 0 ? 'primary' : 'shadow'},
      el('h3', null, side === 0 ? 'Primary' : 'Shadow', el('small', null, context.sides[side])),
      el('dl', {class: 'answer'},
         el('div', null, el('dt', null, 'status'), el('dd', null, statusDiffers ? el('mark', null, status) : status)),
         el('div', null, el('dt', null, 'took'),
            el('dd', null, number(answer.latency_us) === null ? NONE : milliseconds(answer.latency_us / 1000))),
         el('div', null, el('dt', null, 'body'), el('dd', null, bytes(answer.bytes))),
         text(answer.type) && el('div', null, el('dt', null, 'read as'), el('dd', null, text(answer.type)))),
      headers.length > 0 &&
          [
            el('h4', {class: 'label'}, 'Headers'),
            el('div', {class: 'fields-list'},
               headers.map(([key, value]) => headerLine(key, value, context.headerMarks)))
          ],
      el('h4', {class: 'label'}, 'Body'),
      has && body ? body :
                    el('p', {class: 'note'},
                       answer.bytes === 0 ? 'The answer has no body.' :
                                            'Not shown: only JSON is, unless samples.values is full.'),
      answer.cut === true && el('p', {class: 'note'}, 'Cut: the body goes on.'));
}

const shellQuoted = (value) => '\'' + value.replaceAll('\'', '\'\\\'\'') + '\'';

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const OF_ONE_CONNECTION = new Set([
  'connection', 'content-length', 'expect', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade',
  'transfer-encoding'
]);

/*
 * As `shuntctl report --format curl` prints it, for people who paste it into a shell: every value is one quoted word,
 * header lines only have names that HTTP knows (curl reads "-H @file"), the path begins with a slash. $LEGACY and $NEW
 * stand for where the sides are, which the report does not say.
 */
function curlOf(sample, side) {
  const words = ['curl -sS -g -i --path-as-is'];
  const method = text(sample.raw.method);
  words.push(method === 'HEAD' ? '--head' : '-X ' + shellQuoted(TOKEN.test(method) ? method : 'GET'));
  const headers = headersOf(sample.request.headers)
                      .filter(([name]) => TOKEN.test(name) && !OF_ONE_CONNECTION.has(name.toLowerCase()));
  const has = (wanted) => headers.some(([name]) => name.toLowerCase() === wanted);
  for (const [name, value] of headers) words.push('-H ' + shellQuoted(name + (value === '' ? ';' : ': ' + value)));
  if (has('accept-encoding')) words.push('--compressed');
  if (typeof sample.request.body === 'string') {
    if (!has('content-type')) words.push('-H \'Content-Type:\'');
    words.push('--data-raw ' + shellQuoted(sample.request.body));
  }
  const target = text(sample.raw.target);
  words.push(
      '"$' + side.toUpperCase().replace(/[^A-Z0-9]/g, '_') + '"' +
      shellQuoted((target.startsWith('/') ? '' : '/') + target));
  return words.join(' \\\n  ');
}

function drawCurl(sample, context) {
  return el(
      'div', {class: 'snippets'},
      context.sides.map(
          (side, i) =>
              el('div', null,
                 el('div', {class: 'head'}, el('h3', null, (i === 0 ? 'Primary, ' : 'Shadow, ') + side),
                    copyButton('Copy curl for ' + side, () => curlOf(sample, side))),
                 el('pre', {class: 'snippet', tabindex: '0', 'aria-label': 'curl for ' + side}, curlOf(sample, side)))),
      sample.raw.values !== 'full' &&
          el('p', {class: 'small soft'},
             'Placeholders such as <string 12> stand for values that were not kept; put real ones in their place.'));
}

function drawRequest(sample) {
  const headers = headersOf(sample.request.headers);
  const body = sample.request.body;
  return el(
      'div', null, el('div', {class: 'mono'}, text(sample.raw.method) + ' ' + text(sample.raw.target)),
      el('div', {class: 'mono', style: {marginTop: '.4rem'}},
         headers.map(([name, value]) => headerLine(name, value, new Map()))),
      typeof body === 'string' ? el('pre', {class: 'snippet', tabindex: '0', style: {marginTop: '.6rem'}}, body) :
          count(sample.request.body_bytes) > 0 ?
                                 el('p', {class: 'soft'}, bytes(sample.request.body_bytes) + ' of body, not shown') :
                                 null);
}

function drawDifferences(sample, endpoint) {
  const shown = (value) =>
      (value === undefined ? el('em', {class: 'soft'}, 'nothing') : el('span', {class: 'value'}, text(value) || '""'));
  const judged = {real: 'real', noise: 'noise', ignored: 'ignored', also: 'undecided'};
  const state = (difference) => {
    const look = lookOf(difference, endpoint);
    return look === 'also' ? endpoint.fields.find((field) => field.name === text(difference.field)).state :
                             judged[look];
  };
  return el(
      'table', {class: 'words'},
      el('thead', null,
         el('tr', null, ['Where', 'How', 'Primary', 'Shadow', 'Judged'].map((name) => el('th', {scope: 'col'}, name)))),
      el('tbody', null,
         sample.differences.map(
             (difference) =>
                 el('tr', null,
                    el('th', {scope: 'row'}, el('code', null, text(difference.path) || text(difference.field)),
                       count(difference.places) > 1 &&
                           el('span', {class: 'small soft'},
                              ' and ' + many(count(difference.places) - 1, 'place', 'places') + ' more')),
                    el('td', {'data-name': 'how'}, KINDS[text(difference.kind)] ?? text(difference.kind)),
                    el('td', {'data-name': 'primary'}, shown(difference.primary)),
                    el('td', {'data-name': 'shadow'}, shown(difference.shadow)),
                    el('td', null, pill(state(difference)))))));
}

function drawSample(sample, endpoint, route) {
  const sides = [sideName(route, 'primary'), sideName(route, 'shadow')];
  const aligned = bodyRows(sample, endpoint);
  const context = {sides, headerMarks: headerMarks(sample, endpoint), panes: aligned && drawBodies(aligned, sides)};
  return el(
      'article', {class: 'card', id: 'sample', 'data-sample': sample.id},
      el('h2', {class: 'sample-title'}, text(sample.raw.method) + ' ' + text(sample.raw.target)),
      el('p', {class: 'facts'}, el('span', null, moment(sample.raw.at_ms)),
         el('span', null, 'request id ', el('span', {class: 'mono'}, text(sample.raw.request_id) || NONE)),
         number(sample.raw.cohort) !== null && el('span', null, 'cohort ' + grouped(sample.raw.cohort)),
         el('span', null, many(count(sample.raw.fields), 'field differs', 'fields differ')),
         text(sample.for) && el('span', null, 'kept for ', el('code', null, sample.for))),
      el('div', {class: 'block'}, drawDifferences(sample, endpoint)),
      el('div', {class: 'block sides'}, drawAnswer(sample.primary, 'Primary, ' + sides[0], 0, sample, context),
         drawAnswer(sample.shadow, 'Shadow, ' + sides[1], 1, sample, context)),
      el('p', {class: 'signs block'},
         [
           ['\u2260', 'another value'], [MINUS, 'only in primary'], ['+', 'only in shadow'], ['\u21c5', 'another order']
         ].map(([sign, words]) => el('span', null, el('b', null, sign), words)),
         pill('real'), pill('noise'), pill('ignored')),
      HIDDEN_VALUES[sample.raw.values] &&
          el('p', {class: 'small soft', style: {marginTop: '.5rem'}}, HIDDEN_VALUES[sample.raw.values]),
      el('div', {class: 'block'}, folded('The request', () => drawRequest(sample))),
      el('div', {style: {marginTop: '.5rem'}}, folded('Send it again with curl', () => drawCurl(sample, context))));
}

const samplesOf = (route, endpoint, field) => {
  const here = route.samples().filter((sample) => sample.endpoint === endpoint.name);
  const kept = here.filter((sample) => sample.for === field);
  const others = here.filter(
      (sample) => sample.for !== field && sample.differences.some((difference) => text(difference.field) === field));
  return [...kept, ...others];
};

const statusOf = (answer) => (number(answer.status) === null ? NONE : String(answer.status));

function samplePick(sample, place, current) {
  return el(
      'a', {
        href: addressOf({
          r: place.r, p: place.p, e: sample.endpoint, f: place.f || sample.for, s: sample.id
        }),
        'aria-current': current ? 'true' : null,
        'data-sample-link': sample.id
      },
      shortMoment(sample.raw.at_ms) + ' \u00b7 ' + statusOf(sample.primary) + ' \u2192 ' + statusOf(sample.shadow) +
          ' ',
      el('span', {class: 'mono soft', title: sample.id}, sample.id.slice(-8))); /* ids of one worker begin alike */
}

function sampleRow(sample, place) {
  return el(
      'li', {class: 'row', 'data-row': 'sample'},
      el('div', null,
         el('div', {class: 'name'},
            el('a', {
              class: 'mono',
              href: addressOf({
                r: place.r, p: place.p, e: sample.endpoint, f: sample.for, s: sample.id
              })
            },
               text(sample.raw.method) + ' ' + text(sample.raw.target))),
         el('div', {class: 'facts'}, 'differs at ', el('code', null, sample.for))),
      el('div', {class: 'facts'}, el('span', null, shortMoment(sample.raw.at_ms) + ' UTC'),
         el('span', null, statusOf(sample.primary) + ' \u2192 ' + statusOf(sample.shadow)),
         el('span', {class: 'mono'}, sample.id)));
}

/* ---- views ---- */

function crumbs(route, place) {
  const trail = [[route.name + ' (' + directionOf(route) + ')', {r: place.r, p: place.p}]];
  if (place.e) trail.push([place.e, {r: place.r, p: place.p, e: place.e}]);
  if (place.f) trail.push([place.f, {r: place.r, p: place.p, e: place.e, f: place.f}]);
  return el(
      'nav', {class: 'crumbs', 'aria-label': 'Where this is'},
      el('ol', null,
         trail.map(
             ([words, to], i) =>
                 el('li', null,
                    i === trail.length - 1 && !place.s ? el('span', {'aria-current': 'page'}, words) :
                                                         el('a', {href: addressOf(to)}, words)))));
}

function viewOverview(route, place) {
  return [
    drawVerdict(route, place),
    el('section', {class: 'card', 'aria-labelledby': 'totals'},
       el('h2', {id: 'totals', class: 'unseen'}, 'What was compared'),
       drawTiles(route.totals, route.raw.not_comparable, route.raw.not_mirrored, route.noise)),
    el('div', {class: 'pair'}, drawCharts('share-chart', 'Differences over time', SHARE_CHARTS, route.buckets),
       drawCharts('latency-chart', 'Latency over time', latencyCharts(route), route.buckets)),
    drawFieldsCard(route.fields(), place, 'Fields that differ', true),
    el('section', {class: 'card', 'aria-labelledby': 'endpoints'}, el('h2', {id: 'endpoints'}, 'Endpoints'),
       el('div', {id: 'endpoint-list'}, drawEndpoints(route.endpoints(), place))),
    el('section', {class: 'card', 'aria-labelledby': 'latency'},
       el('h2', {id: 'latency'}, 'How much slower, or faster'), drawLatency(route.raw.latency, route)),
    drawRules(route), drawNotes(route)
  ];
}

function viewSearch(route, place) {
  const words = place.q.toLowerCase();
  const fields = route.fields();
  const endpoints = route.endpoints().filter((endpoint) => endpoint.haystack.includes(words));
  const samples = route.samples().filter((sample) => sample.haystack.includes(words));
  const found = fields.filter((field) => fieldMatches(field, place)).length;
  announce(
      many(found, 'field', 'fields') + ', ' + many(endpoints.length, 'endpoint', 'endpoints') + ' and ' +
      many(samples.length, 'sample', 'samples') + ' found');
  return [
    el('h1', {tabindex: '-1'}, '\u201c' + place.q + '\u201d in ' + route.name),
    drawFieldsCard(fields, place, many(found, 'field', 'fields'), true),
    el('section', {class: 'card'}, el('h2', null, many(endpoints.length, 'endpoint', 'endpoints')),
       el('div', {id: 'endpoint-list'}, drawEndpoints(endpoints, place))),
    el('section', {class: 'card'}, el('h2', null, many(samples.length, 'sample', 'samples')),
       el('div', {id: 'sample-list'},
          samples.length === 0 ? el('p', {class: 'soft'}, 'No sample matches.') :
                                 longList(samples, (sample) => sampleRow(sample, place), 20)))
  ];
}

function viewEndpoint(route, endpoint, place) {
  return [
    crumbs(route, place), el('h1', {class: 'mono', tabindex: '-1'}, endpoint.name),
    endpoint.name === '(other)' &&
        el('p', {class: 'soft'},
           'Requests whose endpoint found no row of its own: the report keeps a fixed number of them.'),
    el('section', {class: 'card', 'aria-label': 'What was compared'},
       drawTiles(endpoint.totals, endpoint.raw.not_comparable, undefined, endpoint.noise)),
    drawFieldsCard(endpoint.fields, place, 'Fields that differ', false), drawGroups(endpoint, place),
    el('section', {class: 'card', 'aria-labelledby': 'latency'},
       el('h2', {id: 'latency'}, 'Latency of the same requests'), drawLatency(endpoint.raw.latency, route)),
    el('p', {class: 'small soft'},
       'First pair ' + moment(endpoint.raw.since_ms) + ', newest ' + moment(endpoint.raw.last_ms) + '.')
  ];
}

function viewField(route, endpoint, field, place) {
  const samples = samplesOf(route, endpoint, place.f);
  const sample = samples.find((candidate) => candidate.id === place.s) ?? samples[0];
  return [
    crumbs(route, place), el('h1', {class: 'mono', tabindex: '-1'}, place.f),
    field &&
        el('section', {class: 'card', 'aria-label': 'The field'},
           el('ul', {class: 'rows'}, fieldRow(field, place, false)),
           el('p', {class: 'state-note', style: {marginTop: '.6rem'}}, STATES[field.state].note,
              number(field.raw.apart) !== null &&
                  ' The numbers were at most ' + percent(field.raw.apart, true) + ' apart.',
              field.ignored > 0 && ' Rules ignored it in ' + many(field.ignored, 'pair', 'pairs') + '.',
              place.f === '(other)' && ' Fields that found no row of their own are counted here together.')),
    samples.length > 0 ?
        el('nav', {class: 'picks', 'aria-label': 'Samples'},
           samples.slice(0, 60).map((candidate) => samplePick(candidate, place, candidate === sample))) :
        el('p', {class: 'soft'}, 'No sample of this field is kept.'),
    samples.length > 60 &&
        el('p', {class: 'small soft'},
           'The first 60 of ' + grouped(samples.length) + '; search for a request id to reach the others.'),
    sample && drawSample(sample, endpoint, route)
  ];
}

function viewMissing(route, place) {
  return [
    crumbs(route, {...place, f: '', s: ''}), el('h1', {tabindex: '-1'}, 'Not in this report'),
    el('p', null, 'The link leads to something that this report does not hold.')
  ];
}

function viewOf(route, place) {
  if (place.q && !place.f) return viewSearch(route, place);
  if (!place.e && !place.f) return viewOverview(route, place);
  const endpoint = route.endpoints().find((candidate) => candidate.name === place.e);
  if (endpoint === undefined) return viewMissing(route, place);
  if (!place.f) return viewEndpoint(route, endpoint, place);
  return viewField(route, endpoint, endpoint.fields.find((field) => field.name === place.f), place);
}

/* ---- the frame ---- */

const report = readReport();
const routes = objects(report.routes).map(routeOf);

/* Who opens the page sees the worst first: what fails, what is undecided, what passes, what has compared nothing. */
const URGENCY = ['fail', 'wait', 'pass'];
const urgencyOf = (route) => (route.verdict.compared === 0 ? URGENCY.length : URGENCY.indexOf(resultOf(route).look));

function routeAt(place) {
  return routes.find((route) => route.name === place.r && (!place.p || route.primary === place.p)) ??
      [...routes].sort((a, b) => urgencyOf(a) - urgencyOf(b))[0];
}

function drawRoutes(current, place) {
  if (routes.length < 2) return null;
  const sides = [...new Set(routes.map((route) => route.primary))];
  const shown = routes.filter((route) => !place.direction || route.primary === place.direction || route === current);
  return el(
      'nav', {'aria-label': 'Routes'},
      sides.length > 1 && routes.length > 4 &&
          el('div', {class: 'tools', style: {marginBottom: '.6rem'}},
             select(
                 'Direction', 'direction', [['', 'both'], ...sides.map((side) => [side, side + ' answers'])], place,
                 changeFilters)),
      el('div', {class: 'routes'}, shown.map((route) => {
        const result = resultOf(route);
        return el(
            'a', {
              href: addressOf({r: route.name, p: route.primary, direction: place.direction}),
              'aria-current': route === current ? 'true' : null
            },
            pillWords(result.look, {pass: '\u2713', fail: '\u2715', wait: '?'}[result.look], result.word),
            el('span', null, el('b', null, route.name || '(no name)'),
               el('small', null,
                  sideName(route, 'primary') + ' answers, ' + sideName(route, 'shadow') + ' is compared')));
      })));
}

function drawFrame() {
  const search = el('input', {
    type: 'search',
    id: 'search',
    placeholder: 'Field, endpoint, path or request id',
    'aria-label': 'Search fields, endpoints, paths and request ids',
    autocomplete: 'off',
    spellcheck: 'false'
  });
  let waiting = 0;
  search.addEventListener('input', () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => searchFor(search.value.trim()), 120);
  });
  const theme = el('button', {type: 'button', class: 'button', id: 'theme', click: switchTheme});
  return [
    el('header', {class: 'top'},
       el('div', {class: 'top-in'},
          el('a', {class: 'brand', href: '#'},
             svg('svg', {
               viewBox: '0 0 24 24',
               fill: 'none',
               stroke: 'currentColor',
               'stroke-width': 2.4,
               'stroke-linecap': 'round',
               'stroke-linejoin': 'round',
               'aria-hidden': 'true'
             },
                 svg('path', {d: 'M3 7h5l8 10h5M3 17h5l2-2.5M14 9.5l2-2.5h5'})),
             'Shadow report'),
          fleetWords() !== '' && el('span', {class: 'fleet'}, fleetWords()),
          el('span', {class: 'made'},
             'made ' + moment(report.generated_at_ms) +
                 (text(report.version) ? ' by shunt ' + text(report.version) : '')),
          el('div', {class: 'find', role: 'search'}, search, el('kbd', {'aria-hidden': 'true'}, '/')), theme)),
    el('main', {id: 'main', tabindex: '-1'}),
    el('footer', {class: 'foot top-in'},
       'This page is one file and asks nothing of anybody. / searches, Esc goes one step back up.'),
    el('div', {id: 'speaker', class: 'unseen', role: 'status'})
  ];
}

/* What a report of several replicas says of itself. */
function fleetWords() {
  if (typeof report.fleet !== 'object' || report.fleet === null) return '';
  const replicas = count(report.fleet.replicas);
  const beyond = count(report.fleet.beyond);
  return 'fleet of ' + grouped(replicas) + (replicas === 1 ? ' replica' : ' replicas') +
      (beyond > 0 ? ', without ' + grouped(beyond) + ' figures that found no room' : '');
}

function drawMain(place) {
  const route = routeAt(place);
  const main = document.getElementById('main');
  if (route === undefined) {
    main.replaceChildren(
        el('section', {class: 'card'}, el('h1', {tabindex: '-1'}, 'Nothing has been compared yet'),
           el('p', {class: 'soft'},
              'As soon as a route mirrors requests and both sides have answered one, it stands here.')));
    return;
  }
  const full = {...place, r: route.name, p: route.primary};
  main.replaceChildren(...append(document.createDocumentFragment(), [
                         !place.e && drawRoutes(route, full), viewOf(route, full)
                       ]).childNodes);
  const words = [place.f, place.e, route.name].filter(Boolean);
  document.title = plainText(resultOf(route).word + ': ' + words.join(' - ') + ' - shadow report');
}

let shown = null; /* the place that is drawn now */

const sameView = (a, b) =>
    a !== null && ['r', 'p', 'e', 'f'].every((key) => a[key] === b[key]) && Boolean(a.q) === Boolean(b.q);

function show(place) {
  const before = shown;
  shown = place;
  const active = document.activeElement;
  const filter = active?.getAttribute?.('data-filter');
  drawMain(place);
  const search = document.getElementById('search');
  if (active !== search) search.value = place.q;
  if (before === null || active === search) return;
  if (filter)
    document.querySelector('[data-filter="' + filter + '"]')?.focus();
  else if (!sameView(before, place))
    arrive();
  else if (before.s !== place.s)
    document.querySelector('.picks a[aria-current]')?.focus({preventScroll: true});
}

/* A new view begins at its top, for eyes and for a screen reader. */
function arrive() {
  window.scrollTo({top: 0, behavior: 'instant'});
  document.querySelector('main h1')?.focus({preventScroll: true});
}

/* Filters replace the address, so that the back button leads to the view before and not through every letter. */
function changeFilters(change) {
  replacePlace({...shown, ...change});
}

function replacePlace(place) {
  history.replaceState(null, '', addressOf(place) === '#' ? location.pathname + location.search : addressOf(place));
  show(place);
}

/* The search looks through the whole route. Its first letter is a step that the back button undoes. */
function searchFor(words) {
  if (words === shown.q) return;
  const place = {...shown, e: '', f: '', s: '', q: words};
  if (shown.q || !words)
    replacePlace(place);
  else
    location.hash = addressOf(place);
}

/* ---- keys and colours ---- */

const isTyping = (target) => target instanceof Element && target.matches('input, select, textarea');

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const search = document.getElementById('search');
  if (event.key === '/' && !isTyping(event.target)) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === 'Escape') {
    if (event.target === search) search.blur();
    goUp(search);
  }
}

function goUp(search) {
  const place = shown;
  if (place.q) {
    search.value = '';
    replacePlace({...place, q: ''});
  } else if (place.f)
    location.hash = addressOf({r: place.r, p: place.p, e: place.e});
  else if (place.e)
    location.hash = addressOf({r: place.r, p: place.p});
}

const prefersDark = matchMedia('(prefers-color-scheme: dark)');

/* A page opened from a file may be refused any storage. */
function storedTheme(set) {
  try {
    if (set !== undefined) localStorage.setItem('shunt-report-theme', set);
    return localStorage.getItem('shunt-report-theme');
  } catch {
    return null;
  }
}

function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const button = document.getElementById('theme');
  if (button !== null) button.textContent = theme === 'dark' ? 'Light' : 'Dark';
  button?.setAttribute('aria-label', 'Switch to ' + (theme === 'dark' ? 'light' : 'dark') + ' colours');
}

const chosenTheme = () => storedTheme() ?? (prefersDark.matches ? 'dark' : 'light');

function switchTheme() {
  const theme = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  storedTheme(theme);
  applyTheme(theme);
}

/* On paper nothing can be unfolded, so it is before. */
function unfoldAll() {
  document.querySelectorAll('details').forEach((details) => details.unfold?.());
}

function start() {
  document.getElementById('app').replaceChildren(...drawFrame());
  applyTheme(chosenTheme());
  prefersDark.addEventListener('change', () => applyTheme(chosenTheme()));
  document.querySelector('.skip').addEventListener('click', (event) => {
    event.preventDefault();
    document.getElementById('main').focus();
  });
  document.addEventListener('keydown', onKey);
  addEventListener('hashchange', () => show(readPlace()));
  addEventListener('beforeprint', unfoldAll);
  show(readPlace());
}

start();
}());
