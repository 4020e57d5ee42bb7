-- What Redis does for a fleet of replicas: docs/fleet.md has the protocol, the keys and the documents. Called as
--   EVALSHA sha N KEYS... OPERATION DOCUMENT
-- and runs without interruption, so that each operation happens whole or not at all. For that everything is checked
-- before the first write: a document that is wrong is answered { "error": "malformed" } and has changed nothing.
--
-- JSON is written by hand: cjson shows an empty array as {}, and numbers with 14 digits only. No number is above 2^53.
-- Only declared keys are touched, whose order is that of the documentation.

local state, lease, alive, replicas, open, seqs, log, report, samples = unpack(KEYS, 1, 9)
local GROUP_KEYS, ROUTE_KEYS = 9, 3

local SILENT_MS = 2400 -- three beats: who has been silent for longer is not counted as alive
local GONE_MS = 60000 -- and then forgotten
local EVIDENCE_S = 30 * 24 * 3600
local ITEMS, TEXT, VIEW, LOGS, SAMPLE, WHY = 1025, 6144, 4096, 64, 16384, 300 -- at most
local AT_ONCE = 1000 -- of one command: Lua hands over less than 8,000 words
local OTHERS = 5 -- fields of the state that are no items
local FIELDS, REPORT_FIELDS, OFFSETS = 8192, 20000, 131072 -- of one hash; of the report's; bits of one route
local PAST, FAR = 32, 16 -- changes an item remembers; so many versions apart, they are no conflict
local ID = 8 -- characters

-- ---- what comes in ----

local function need(fact, what)
  if not fact then error({ malformed = what }) end
end

local function given(value)
  if value == cjson.null then return nil end
  return value
end

local function integer(value, least, most, what)
  need(type(value) == 'number' and value >= least and value <= most and value == math.floor(value), what)
  return value
end

local function word(value, most, pattern, what)
  need(type(value) == 'string' and #value > 0 and #value <= most and not value:find(pattern), what)
  return value
end

local function list(value, most, what)
  need(type(value) == 'table' and #value <= most, what)
  return value
end

local MOST_NUMBER = 9007199254740992

local function check_fields(add, what)
  need(type(add) == 'table', what)
  local count = 0
  for field, number in pairs(add) do
    word(field, 300, '%c', what)
    integer(number, -MOST_NUMBER, MOST_NUMBER, what)
    count = count + 1
  end
  need(count <= FIELDS, what)
end

-- [ NAME, VERSION, SHARE, RANK, TEXT, PAST ]
local function check_items(items)
  list(items, ITEMS, 'items')
  local seen = {}
  for _, item in ipairs(items) do
    list(item, 6, 'item')
    word(item[1], 300, '%c', 'item')
    integer(item[2], 0, MOST_NUMBER - 1, 'version')
    integer(item[3], 0, 10000, 'share')
    integer(item[4], 0, 1000, 'rank')
    need(type(item[5]) == 'string' and #item[5] <= TEXT, 'text')
    need(type(item[6]) == 'string' and #item[6] < PAST * (ID + 1) and not item[6]:find('[^%x,]'), 'past')
    need(not seen[item[1]], 'item')
    seen[item[1]] = true
  end
  return items
end

-- ---- what goes out ----

local quoted = cjson.encode

local function digits(number)
  return string.format('%.0f', number)
end

local function object(pairs_of_text)
  return '{' .. table.concat(pairs_of_text, ',') .. '}'
end

local function array(texts)
  return '[' .. table.concat(texts, ',') .. ']'
end

local function item_text(name, item)
  return array({ quoted(name), digits(item.version), digits(item.share), digits(item.rank), quoted(item.text),
    quoted(item.past) })
end

local function array_of(texts)
  local out = {}
  for i, text in ipairs(texts) do out[i] = quoted(text) end
  return array(out)
end

-- The fields of a hash that are sums; other replicas' garbage is left out.
local function sums_of(key, skipped)
  local flat, out = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do
    if flat[i] ~= skipped and flat[i + 1]:find('^%-?%d+$') then out[#out + 1] = quoted(flat[i]) .. ':' .. flat[i + 1] end
  end
  return object(out)
end

-- ---- the group ----

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function load_group()
  local values = redis.call('HMGET', state, 'format', 'epoch', 'term', 'stamp', 'mark')
  return { format = tonumber(values[1] or 0) or 0, epoch = tonumber(values[2] or 0) or 0,
    term = tonumber(values[3] or 0) or 0, stamp = tonumber(values[4] or 0) or 0, mark = values[5] or '' }
end

local function load_lease()
  local term, holder = (redis.call('GET', lease) or ''):match('^(%d+) (.+)$')
  return tonumber(term or 0), holder or ''
end

local function parse_item(raw)
  local version, share, rank, past, text = (raw or ''):match('^(%d+) (%d+) (%d+) ([%x,]*)\n(.*)$')
  if not version then return nil end
  return { version = tonumber(version), share = tonumber(share), rank = tonumber(rank), past = past, text = text }
end

local function load_item(name)
  return parse_item(redis.call('HGET', state, 'item:' .. name))
end

local function all_items()
  local flat, out = redis.call('HGETALL', state), {}
  for i = 1, #flat, 2 do
    local name = flat[i]:match('^item:(.+)$')
    local item = name and parse_item(flat[i + 1])
    if item then out[#out + 1] = item_text(name, item) end
  end
  return array(out)
end

-- Writes items and the epoch by one command, tells everybody, and returns what was told.
local function set_items(group, changed, logs)
  local flat, texts = {}, {}
  for name, item in pairs(changed) do
    local head = table.concat({ digits(item.version), digits(item.share), digits(item.rank), item.past }, ' ')
    flat[#flat + 1] = 'item:' .. name
    flat[#flat + 1] = head .. '\n' .. item.text
    texts[#texts + 1] = item_text(name, item)
  end
  redis.call('HSET', state, 'format', digits(group.format), 'epoch', digits(group.epoch), 'term', digits(group.term), 'mark',
    group.mark, unpack(flat))
  redis.call('HSETNX', state, 'stamp', 0) -- so that all other fields are OTHERS, and the rest is items
  for _, text in ipairs(logs) do
    redis.call('XADD', log, 'MAXLEN', 1000, '*', 'text', text)
  end
  -- An ACL may forbid the channel: then the next beats tell.
  redis.pcall('PUBLISH', state:gsub('state$', 'news'), object({ '"epoch":' .. digits(group.epoch),
    '"mark":' .. quoted(group.mark), '"after":' .. quoted(group.after), '"items":' .. array(texts) }))
end

-- The mark is a checksum over all changes there ever were: two histories of the same length differ in it.
local function turn(group, operation)
  group.after = group.mark
  group.mark = redis.sha1hex(group.mark .. operation .. ARGV[2]):sub(1, 24)
  group.epoch = group.epoch + 1
  return group.mark:sub(1, ID)
end

local function is_safer(a, b)
  if a.share ~= b.share then return a.share < b.share end
  return a.rank < b.rank
end

-- ---- an item's past ----

-- 'same', 'newer': b came of a; 'older': a came of b; 'conflict': neither knew of the other.
local function relation(a, b)
  if a.past ~= '' and b.past ~= '' then
    local id_a, id_b = a.past:sub(1, ID), b.past:sub(1, ID)
    if id_a == id_b then return 'same' end
    if b.past:find(id_a, 1, true) then return 'newer' end
    if a.past:find(id_b, 1, true) then return 'older' end
    if math.abs(a.version - b.version) < FAR then return 'conflict' end
  end
  if a.version ~= b.version then return a.version < b.version and 'newer' or 'older' end
  if a.text == b.text and a.share == b.share and a.rank == b.rank then return 'same' end
  return 'conflict'
end

local function extended(id, past)
  return (past == '' and id or id .. ',' .. past):sub(1, PAST * (ID + 1) - 1)
end

-- Both pasts, the newest of each first.
local function joined(id, a, b)
  local out, seen, next_a, next_b = { id }, { [id] = true }, a:gmatch('%x+'), b:gmatch('%x+')
  repeat
    local one, other = next_a(), next_b()
    for _, past in ipairs({ one or other, other }) do
      if past and not seen[past] then
        seen[past] = true
        out[#out + 1] = past
      end
    end
  until not one and not other
  return table.concat(out, ',', 1, math.min(#out, PAST))
end

local function wins(a, b)
  if is_safer(a, b) or is_safer(b, a) then return is_safer(a, b) end
  return a.text <= b.text
end

-- ---- replicas ----

local function forget(names)
  for _, name in ipairs(names) do
    redis.call('ZREM', alive, name)
    for _, key in ipairs({ replicas, open, seqs }) do redis.call('HDEL', key, name) end
  end
end

local function note_alive(replica, now)
  redis.call('ZADD', alive, digits(now), replica)
  forget(redis.call('ZRANGEBYSCORE', alive, '-inf', '(' .. digits(now - GONE_MS), 'LIMIT', 0, 32))
  -- Another server's clock may have been ahead of this one's.
  forget(redis.call('ZRANGEBYSCORE', alive, digits(now + SILENT_MS), '+inf', 'LIMIT', 0, 32))
end

local function note_view(doc)
  local view, opened = given(doc.view), given(doc.open)
  if view then redis.call('HSET', replicas, doc.replica, view) end
  if not opened then return end
  local out = {}
  for route, why in pairs(opened) do out[#out + 1] = quoted(route) .. ':' .. quoted(why:sub(1, WHY)) end
  if #out > 0 then
    redis.call('HSET', open, doc.replica, object(out))
  else
    redis.call('HDEL', open, doc.replica)
  end
end

-- { ROUTE: { REPLICA: why } } of those that are alive.
local function open_breakers(now)
  local flat, by_route = redis.call('HGETALL', open), {}
  for i = 1, #flat, 2 do
    local score = tonumber(redis.call('ZSCORE', alive, flat[i]) or 0)
    local is_object, routes = pcall(cjson.decode, flat[i + 1])
    if score > now - SILENT_MS and is_object and type(routes) == 'table' then
      for route, why in pairs(routes) do
        by_route[route] = by_route[route] or {}
        by_route[route][flat[i]] = tostring(why)
      end
    end
  end
  return by_route
end

-- ---- counts ----

local function sum_of(_, there, number)
  return (there or 0) + number
end

-- Of fields that begin with < the least that was told, of those with > the most; sums otherwise.
local function reported(field, there, number)
  local kind = field:sub(1, 1)
  if kind == '<' then return math.min(there or number, number) end
  if kind == '>' then return math.max(there or number, number) end
  return sum_of(field, there, number)
end

-- Two commands for many fields, not two for each. Returns how many found no room.
local function add_fields(key, add, prefix, most, rule)
  local fields, names, beyond = {}, {}, 0
  local room = most - redis.call('HLEN', key)
  for field in pairs(add) do
    fields[#fields + 1] = field
    names[#names + 1] = prefix .. field
  end
  for first = 1, #fields, AT_ONCE do
    local last = math.min(first + AT_ONCE - 1, #fields)
    local values, flat = redis.call('HMGET', key, unpack(names, first, last)), {}
    for i = first, last do
      local there = values[i - first + 1]
      if there or room > 0 then
        flat[#flat + 1] = names[i]
        flat[#flat + 1] = digits(rule(fields[i], tonumber(there or nil), add[fields[i]]))
        room = room - (there and 0 or 1)
      else
        beyond = beyond + 1
      end
    end
    if #flat > 0 then redis.call('HSET', key, unpack(flat)) end
  end
  return beyond
end

local function add_report(add)
  local beyond = add_fields(report, add, '', REPORT_FIELDS, reported)
  if beyond > 0 then redis.call('HINCRBY', report, 'beyond', beyond) end
  redis.call('EXPIRE', report, EVIDENCE_S)
end

local function set_bits(key, offsets)
  for first = 1, #offsets, AT_ONCE do
    local flat = {}
    for i = first, math.min(first + AT_ONCE - 1, #offsets) do
      for _, word in ipairs({ 'SET', 'u1', digits(offsets[i]), 1 }) do flat[#flat + 1] = word end
    end
    redis.call('BITFIELD', key, unpack(flat))
  end
end

local function add_evidence(evidence, marks, counts)
  local entry = tonumber(redis.call('HGET', evidence, 'entry') or -1) or -1
  if counts.entry < entry then return end
  if counts.entry > entry then
    redis.call('DEL', evidence, marks)
    redis.call('HSET', evidence, 'entry', digits(counts.entry))
  end
  add_fields(evidence, given(counts.add) or {}, '', FIELDS, sum_of)
  set_bits(marks, given(counts.bits) or {})
  redis.call('EXPIRE', evidence, EVIDENCE_S)
  redis.call('EXPIRE', marks, EVIDENCE_S)
end

-- Which buckets are old is looked at once in each bucket, not with each beat.
local function add_window(key, window, now)
  local bucket = math.floor(now / window.bucket_ms)
  if redis.call('HGET', key, 'newest') ~= digits(bucket) then
    for _, field in ipairs(redis.call('HKEYS', key)) do
      local number = tonumber(field:match('^(%d+) '))
      if not number or number <= bucket - window.keep or number > bucket then redis.call('HDEL', key, field) end
    end
    redis.call('HSET', key, 'newest', digits(bucket))
  end
  add_fields(key, window.add, digits(bucket) .. ' ', FIELDS, sum_of)
  redis.call('PEXPIRE', key, digits(2 * window.bucket_ms * window.keep))
end

local function check_counts(counts)
  need(type(counts) == 'table', 'counts')
  integer(counts.seq, 1, MOST_NUMBER, 'seq')
  for _, route in ipairs(list(given(counts.routes) or {}, #KEYS, 'counts')) do
    need(type(route) == 'table', 'counts')
    integer(route.entry, 0, MOST_NUMBER, 'entry')
    check_fields(given(route.add) or {}, 'add')
    for _, offset in ipairs(list(given(route.bits) or {}, OFFSETS, 'bits')) do integer(offset, 0, OFFSETS - 1, 'bits') end
    local window = given(route.window)
    if window then
      need(type(window) == 'table', 'window')
      integer(window.bucket_ms, 1, 86400000, 'bucket_ms')
      integer(window.keep, 1, 10000, 'keep')
      check_fields(window.add, 'window')
    end
  end
  need(#KEYS == GROUP_KEYS + ROUTE_KEYS * #(given(counts.routes) or {}), 'keys')
  check_fields(given(counts.report) or {}, 'report')
  for _, text in ipairs(list(given(counts.samples) or {}, 200, 'samples')) do
    need(type(text) == 'string' and #text <= SAMPLE, 'sample')
  end
end

-- The last sequence taken in of this boot, and of the one before it: what a process sent as it died may come after what the
-- next one sends.
local function load_seq(replica, boot)
  local new, seq, old, old_seq = (redis.call('HGET', seqs, replica) or ''):match('^(%S+) (%d+) ?(%S*) ?(%d*)$')
  if new == boot then return tonumber(seq), table.concat({ old, old_seq }, ' ') end
  return old == boot and tonumber(old_seq) or 0, new and new .. ' ' .. seq or ''
end

local function take_counts(doc, counts, now)
  local last, others = load_seq(doc.replica, doc.boot)
  if not counts or counts.seq <= last then return last, false, last end
  for i, route in ipairs(given(counts.routes) or {}) do
    local first = GROUP_KEYS + ROUTE_KEYS * (i - 1)
    add_evidence(KEYS[first + 1], KEYS[first + 2], route)
    if given(route.window) then add_window(KEYS[first + 3], route.window, now) end
  end
  if given(counts.report) and next(counts.report) then add_report(counts.report) end
  for _, text in ipairs(given(counts.samples) or {}) do
    redis.call('XADD', samples, 'MAXLEN', 200, '*', 'text', text)
    redis.call('EXPIRE', samples, EVIDENCE_S)
  end
  redis.call('HSET', seqs, doc.replica, ((doc.boot .. ' ' .. digits(counts.seq) .. ' ' .. others):gsub('%s+$', '')))
  return counts.seq, true, last
end

-- ---- the lease ----

-- Renewed only in the term it runs in, and only while no later term is known; given anew in a new term.
local function take_lease(doc, group)
  local term, holder = load_lease()
  local is_mine = holder == doc.replica and term == doc.term and term >= group.term
  if not doc.lead then
    if is_mine then redis.call('DEL', lease) end
    return not is_mine and term or 0, not is_mine and holder or ''
  end
  if holder ~= '' and holder ~= doc.replica then return term, holder end
  if not is_mine then term = math.max(group.term, term) + 1 end
  redis.call('SET', lease, digits(term) .. ' ' .. doc.replica, 'PX', digits(doc.lease_ms))
  if term ~= group.term then
    group.term = term
    redis.call('HSET', state, 'term', digits(term))
  end
  return term, doc.replica
end

-- ---- operations ----

local function check_sender(doc)
  word(doc.replica, 200, '%c', 'replica')
  integer(doc.format, 1, MOST_NUMBER, 'format')
end

local function refused_format(doc, group)
  return doc.format < group.format and '{"error":"format","format":' .. digits(group.format) .. '}' or nil
end

local function leader_part(now)
  local routes = {}
  for route, by_replica in pairs(open_breakers(now)) do
    local names = {}
    for name in pairs(by_replica) do names[#names + 1] = name end
    table.sort(names)
    routes[#routes + 1] = quoted(route) .. ':' .. array_of(names)
  end
  local dead = redis.call('ZRANGEBYSCORE', alive, '-inf', digits(now - SILENT_MS), 'LIMIT', 0, 100)
  return ',"open":' .. object(routes) .. ',"dead":' .. array_of(dead)
end

local function beat(doc)
  check_sender(doc)
  word(doc.boot, 100, '%s', 'boot')
  integer(doc.epoch, 0, MOST_NUMBER, 'epoch')
  integer(doc.term, 0, MOST_NUMBER, 'term')
  integer(doc.lease_ms, 100, 60000, 'lease_ms')
  need(type(doc.lead) == 'boolean' and type(doc.mark) == 'string', 'lead')
  local view, opened, counts = given(doc.view), given(doc.open), given(doc.counts)
  need(not view or (type(view) == 'string' and #view <= VIEW), 'view')
  if opened then
    need(type(opened) == 'table', 'open')
    for route, why in pairs(opened) do need(type(why) == 'string' and word(route, 300, '%c', 'open'), 'open') end
  end
  if counts then check_counts(counts) end

  local group = load_group()
  local refused = refused_format(doc, group)
  if refused then return refused end
  local now = now_ms()
  local is_known = view ~= nil or redis.call('HEXISTS', replicas, doc.replica) == 1
  if doc.format > group.format then redis.call('HSET', state, 'format', digits(doc.format)) end
  note_alive(doc.replica, now)
  note_view(doc)
  local seq, taken, had = take_counts(doc, counts, now)
  if taken then group.stamp = redis.call('HINCRBY', state, 'stamp', 1) end
  local term, leader = take_lease(doc, group)

  local out = { '{"now":', digits(now), ',"format":', digits(math.max(doc.format, group.format)), ',"empty":',
    tostring(group.epoch == 0), ',"epoch":', digits(group.epoch), ',"mark":', quoted(group.mark), ',"term":',
    digits(math.max(term, group.term)), ',"leader":', quoted(leader), ',"lease_ms":',
    digits(math.max(0, redis.call('PTTL', lease))), ',"seq":', digits(seq), ',"had":', digits(had), ',"stamp":', digits(group.stamp),
    ',"view":', tostring(is_known), ',"alive":', digits(redis.call('ZCOUNT', alive, '(' .. digits(now - SILENT_MS), '+inf')) }
  if doc.epoch ~= group.epoch or doc.mark ~= group.mark then out[#out + 1] = ',"items":' .. all_items() end
  if leader == doc.replica then out[#out + 1] = leader_part(now) end
  return table.concat(out) .. '}'
end

-- What each named item becomes; nil and why when one of them may not.
local function changes_of(doc, group, id)
  local changed, room = {}, ITEMS - redis.call('HLEN', state) + OTHERS
  for _, wish in ipairs(doc.items) do
    local now = load_item(wish[1])
    local base = now or { version = 0, share = 10001, rank = 0, past = '' }
    local new = { version = base.version + 1, share = wish[3], rank = wish[4], text = wish[5], past = extended(id, base.past) }
    if doc.kind ~= 'safety' and (base.version ~= wish[2] or base.past ~= wish[6]) then return nil, 'conflict' end
    if doc.kind ~= 'safety' or is_safer(new, base) then
      changed[wish[1]] = new
      room = room - (now and 0 or 1)
    end
  end
  if room < 0 then return nil, 'full' end
  return changed
end

local KINDS = { leader = true, person = true, safety = true, file = true }

local function change(doc)
  check_sender(doc)
  need(KINDS[doc.kind], 'kind')
  integer(doc.term, 0, MOST_NUMBER, 'term')
  check_items(doc.items)
  for _, text in ipairs(list(doc.log, LOGS, 'log')) do need(type(text) == 'string' and #text <= TEXT, 'log') end

  local group, why, changed = load_group(), nil, nil
  local term, holder = load_lease()
  local kept = { epoch = group.epoch, mark = group.mark }
  if doc.format < group.format then
    why = 'format'
  elseif doc.kind == 'leader' and (term ~= doc.term or holder ~= doc.replica or term < group.term) then
    why = 'not_leader'
  else
    changed, why = changes_of(doc, group, turn(group, 'change'))
  end
  if changed and next(changed) then
    group.format = math.max(group.format, doc.format)
    set_items(group, changed, doc.log)
  else
    group.epoch, group.mark, group.after = kept.epoch, kept.mark, kept.mark
  end
  local items = {}
  for _, wish in ipairs(doc.items) do
    local item = load_item(wish[1])
    if item then items[#items + 1] = item_text(wish[1], item) end
  end
  return object({ '"ok":' .. tostring(why == nil), why and '"why":' .. quoted(why) or '"why":null',
    '"epoch":' .. digits(group.epoch), '"mark":' .. quoted(group.mark), '"after":' .. quoted(group.after),
    '"items":' .. array(items) })
end

local function merge(doc)
  check_sender(doc)
  integer(doc.epoch, 0, MOST_NUMBER, 'epoch')
  integer(doc.term, 0, MOST_NUMBER, 'term')
  check_items(doc.items)
  local group = load_group()
  local refused = refused_format(doc, group)
  if refused then return refused end

  local before = { epoch = group.epoch, mark = group.mark }
  local id, changed, names = turn(group, 'merge'), {}, {}
  local room = ITEMS - redis.call('HLEN', state) + OTHERS
  for _, row in ipairs(doc.items) do
    local ours = load_item(row[1])
    local item = { version = row[2], share = row[3], rank = row[4], text = row[5], past = row[6] }
    local how = ours and relation(ours, item) or 'newer'
    if how == 'conflict' then
      local winner, loser = item, ours
      if wins(ours, item) then winner, loser = ours, item end
      item = { version = math.max(ours.version, item.version) + 1, share = winner.share, rank = winner.rank,
        text = winner.text, past = joined(id, winner.past, loser.past) }
    end
    room = room - (ours and 0 or 1)
    if (how == 'newer' or how == 'conflict') and item.version > 0 and room >= 0 then
      changed[row[1]] = item
      names[#names + 1] = row[1]
    end
  end
  group.format = math.max(group.format, doc.format)
  if #names > 0 then
    group.epoch = math.max(before.epoch, doc.epoch) + 1
    group.term = math.max(group.term, doc.term)
    set_items(group, changed, { object({ '"what":"merge"', '"who":' .. quoted('replica:' .. doc.replica),
      '"why":"Redis had lost it, or had two histories of it"', '"at_ms":' .. digits(now_ms()),
      '"items":' .. array_of({ unpack(names, 1, math.min(#names, 20)) }) }) })
  else
    group.epoch, group.mark = before.epoch, before.mark
  end
  return object({ '"epoch":' .. digits(group.epoch), '"mark":' .. quoted(group.mark), '"changed":' .. digits(#names),
    '"items":' .. all_items() })
end

local function read(doc)
  local count = #list(doc.routes, 16, 'routes')
  need(#KEYS == GROUP_KEYS + ROUTE_KEYS * count, 'keys')
  local out = {}
  for i = 1, count do
    local first = GROUP_KEYS + ROUTE_KEYS * (i - 1)
    local entry = tonumber(redis.call('HGET', KEYS[first + 1], 'entry') or 0) or 0
    local bits = (redis.call('GET', KEYS[first + 2]) or ''):gsub('.', function(c) return string.format('%02x', c:byte()) end)
    out[i] = object({ '"entry":' .. digits(entry), '"counts":' .. sums_of(KEYS[first + 1], 'entry'), '"bits":"' .. bits .. '"',
      '"window":' .. sums_of(KEYS[first + 3], 'newest') })
  end
  return object({ '"now":' .. digits(now_ms()), '"stamp":' .. digits(load_group().stamp), '"routes":' .. array(out) })
end

-- The texts of a stream's newest entries, oldest first.
local function stream_texts(key, count)
  local entries, out = redis.call('XREVRANGE', key, '+', '-', 'COUNT', count), {}
  for i = #entries, 1, -1 do out[#out + 1] = entries[i][2][2] end
  return array_of(out)
end

local function look()
  local group, now = load_group(), now_ms()
  local term, leader = load_lease()
  local views, routes = {}, {}
  local seen = redis.call('ZRANGE', alive, 0, -1, 'WITHSCORES')
  for i = 1, #seen, 2 do
    views[#views + 1] = quoted(seen[i]) .. ':' .. object({ '"seen":' .. digits(tonumber(seen[i + 1])),
      '"view":' .. quoted(redis.call('HGET', replicas, seen[i]) or '{}') })
  end
  for route, by_replica in pairs(open_breakers(now)) do
    local out = {}
    for name, why in pairs(by_replica) do out[#out + 1] = quoted(name) .. ':' .. quoted(why) end
    routes[#routes + 1] = quoted(route) .. ':' .. object(out)
  end
  return object({ '"now":' .. digits(now), '"format":' .. digits(group.format), '"epoch":' .. digits(group.epoch),
    '"term":' .. digits(math.max(term, group.term)), '"leader":' .. quoted(leader),
    '"lease_ms":' .. digits(math.max(0, redis.call('PTTL', lease))), '"stamp":' .. digits(group.stamp),
    '"replicas":' .. object(views), '"open":' .. object(routes), '"log":' .. stream_texts(log, 50) })
end

local function report_of()
  local now = now_ms()
  return object({ '"now":' .. digits(now),
    '"alive":' .. digits(redis.call('ZCOUNT', alive, '(' .. digits(now - SILENT_MS), '+inf')),
    '"fields":' .. sums_of(report), '"samples":' .. stream_texts(samples, 200) })
end

local OPERATIONS = { beat = beat, change = change, merge = merge, read = read, look = look, report = report_of }

local function run()
  need(#KEYS >= GROUP_KEYS and OPERATIONS[ARGV[1]], 'operation')
  local is_json, doc = pcall(cjson.decode, ARGV[2])
  need(is_json and type(doc) == 'table', 'document')
  return OPERATIONS[ARGV[1]](doc)
end

local done, answer = pcall(run)
if done then return answer end
if type(answer) == 'table' and answer.malformed then
  return '{"error":"malformed","why":' .. quoted(answer.malformed) .. '}'
end
-- An error of Redis itself, such as no memory or a read-only server: it is told as such.
return type(answer) == 'table' and answer or redis.error_reply(tostring(answer))
