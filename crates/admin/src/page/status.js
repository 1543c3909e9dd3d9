// The status page: asks for the token, polls, draws. Text goes in as text, never as markup.
"use strict";

const POLL_MS = 3000;
const TOKEN = "shardlake-admin-token";
const byId = (id) => document.getElementById(id);
let timer = null;
// Answers to a token that was given up since are thrown away.
let session = 0;

function element(name, content, kind) {
  const made = document.createElement(name);
  if (content instanceof Node) made.append(content);
  else if (Array.isArray(content)) made.append(...content);
  else made.textContent = content === null || content === undefined ? "–" : String(content);
  if (kind) made.className = kind;
  return made;
}

function table(id, columns, rows, none) {
  const head = element("tr", columns.map((column) => {
    const cell = element("th", column);
    cell.scope = "col";
    return cell;
  }));
  const body = rows.length
    ? rows.map((cells) => element("tr", cells.map((cell) =>
      cell instanceof HTMLTableCellElement ? cell : element("td", cell))))
    : [element("tr", Object.assign(element("td", none), { colSpan: columns.length }))];
  byId(id).replaceChildren(element("thead", head), element("tbody", body));
}

function facts(id, pairs) {
  byId(id).replaceChildren(...pairs.map(([name, value, kind]) =>
    element("div", [element("dt", name), element("dd", value, kind)])));
}

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${unit && count < 10 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

const upDown = (up) => element("td", up ? "up" : "down", up ? "good" : "bad");

function usage(disk) {
  const share = disk.capacity_bytes ? disk.used_bytes / disk.capacity_bytes : 0;
  const text = `${bytes(disk.used_bytes)} of ${bytes(disk.capacity_bytes)} (${Math.round(share * 100)} %)`;
  const bar = document.createElement("meter");
  Object.assign(bar, { min: 0, max: 1, low: 0.8, high: 0.9, optimum: 0, value: share });
  bar.setAttribute("aria-label", `disk ${disk.id}: ${text}`);
  return element("td", [bar, document.createTextNode(text)]);
}

function progress(worker) {
  if (!worker.progress) return null;
  const { done, total, unit } = worker.progress;
  const show = (count) => (unit === "bytes" ? bytes(count) : `${count} ${unit}`);
  return total === null ? show(done) : `${show(done)} of ${show(total)}`;
}

function round(worker) {
  const counted = (pass) => [`${pass.looked_at} looked at`,
    ...Object.entries(pass.counts).map(([what, count]) => `${count} ${what}`)].join(", ");
  const parts = [];
  if (worker.round) {
    const place = worker.place ? ` in ${worker.place.within} ${worker.place.at}` : "";
    const eta = worker.eta_ms === null ? "" : `, some ${Math.ceil(worker.eta_ms / 1000)} s left`;
    parts.push(`now: ${counted(worker.round)}${place}${eta}`);
  }
  if (worker.last_round) parts.push(`last: ${counted(worker.last_round)}`);
  if (worker.last_failure) parts.push(`last failure: ${worker.last_failure}`);
  return parts.join("; ") || null;
}

function rate(worker) {
  if (worker.rate === null) return null;
  const unit = worker.progress ? worker.progress.unit : "";
  return unit === "bytes" ? `${bytes(worker.rate)}/s` : `${worker.rate.toFixed(1)} ${unit}/s`;
}

function drawCluster(cluster) {
  facts("facts", [
    ["Cluster", cluster.cluster],
    ["Policy", cluster.policy],
    ["Failure domain", cluster.domain],
    ["Write quorum", cluster.write_quorum],
    ["Root leader", cluster.root_leader === null ? "none" : `node ${cluster.root_leader}`,
      cluster.root_leader === null ? "bad" : ""],
    ["Map epoch", cluster.epoch],
  ]);
  const groups = cluster.groups;
  facts("groups", [
    ["All", groups.total],
    ["All shards up", groups.healthy, groups.healthy < groups.total ? "warn" : "good"],
    ["Writable", groups.writable, groups.writable ? "" : "bad"],
    ["Readable", groups.readable],
    ["Unreadable", groups.unreadable, groups.unreadable ? "bad" : ""],
  ]);
  table("classes", ["Class", "Policy", "Disks", "Compression", "Writable groups"],
    cluster.classes.map((row) => [
      row.class, row.policy,
      row.used_disks === row.disks ? row.disks : `${row.disks}, now ${row.used_disks || "none"}`,
      row.compression,
      element("td", `${row.writable} of ${row.groups}`, row.writable ? "" : "bad"),
    ]), "No storage classes yet");
  table("nodes", ["Node", "Role", "State", "Address", "Zone", "Rack", "Disks", "Level"],
    cluster.nodes.map((node) => [node.id, node.role, upDown(node.up), node.address,
      node.zone || "–", node.rack || "–", node.disks, node.level]),
    "No nodes yet");
  table("disks", ["Disk", "Node", "Class", "State", "Decision", "Groups", "Used"],
    cluster.disks.map((disk) =>
      [disk.id, disk.node, disk.class, upDown(disk.up), disk.state, disk.groups, usage(disk)]),
    "No disks yet");
  table("partitions", ["Group", "Leader", "Epoch", "From"],
    cluster.partitions.map((part) => [
      part.group,
      element("td", part.leader === null ? "none" : `node ${part.leader}`,
        part.leader === null ? "bad" : ""),
      part.epoch, part.start || "the beginning",
    ]), "No partitions yet");
}

function drawCheck(check) {
  if (!check || check.state === "none") {
    facts("check", [["Check", "none yet: shardlake admin check makes one"]]);
    return;
  }
  const progress = check.progress;
  const good = check.state === "done" && !check.faults.length;
  facts("check", [
    ["Check", check.state, check.state === "failed" ? "bad" : ""],
    ["Blobs", progress ? progress.blobs : null],
    ["Placement groups", progress ? `${progress.groups} of ${progress.groups_total}` : null],
    ["Every byte read", check.verify ? "yes" : "no"],
    ["Not as promised", check.state !== "done" ? check.reason
      : good ? "nothing" : check.faults.join("; "), check.state === "done" ? (good ? "good" : "bad") : ""],
  ]);
}

function draw(status) {
  const good = status.ready && status.healthy;
  const verdict = byId("verdict");
  const text = good ? "Healthy: the cluster takes reads and writes"
    : [status.ready_reason, status.health_reason].filter(Boolean).join("; ");
  // Unchanged text is left alone, or screen readers would repeat it at every poll.
  if (verdict.textContent !== text) verdict.textContent = text;
  verdict.className = good ? "good" : "bad";
  if (status.cluster) drawCluster(status.cluster);
  drawCheck(status.check);
  table("workers", ["Job", "Runs on", "State", "Progress", "Rate", "Throttle", "Round", "Detail"],
    status.workers.map((worker) => [
      worker.name,
      worker.node === null ? "this process" : `node ${worker.node}`,
      element("td", worker.state, { failing: "bad", cancelled: "warn" }[worker.state]),
      progress(worker), rate(worker),
      worker.throttle_percent === null ? null : `${worker.throttle_percent} %`,
      round(worker), worker.detail,
    ]), "The leader shows no background jobs");
  byId("updated").textContent = `Shardlake ${status.version}, updated ${new Date().toLocaleTimeString()}`;
  byId("status").hidden = false;
  byId("login").hidden = true;
  byId("forget").hidden = false;
}

function logOut(reason) {
  session += 1;
  clearTimeout(timer);
  sessionStorage.removeItem(TOKEN);
  byId("status").hidden = true;
  byId("forget").hidden = true;
  byId("login").hidden = false;
  byId("login-error").textContent = reason;
  byId("verdict").textContent = "Not connected";
  byId("verdict").className = "";
  byId("token").focus();
}

async function poll() {
  const mine = session;
  try {
    const answer = await fetch("/admin/v1/status", {
      headers: { Authorization: `Bearer ${sessionStorage.getItem(TOKEN)}` },
      cache: "no-store",
    });
    if (mine !== session) return;
    if (answer.status === 401) {
      logOut("The token was refused.");
      return;
    }
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    const status = await answer.json();
    if (mine !== session) return;
    draw(status);
  } catch (error) {
    if (mine !== session) return;
    byId("verdict").textContent = `The server cannot be reached: ${error.message}`;
    byId("verdict").className = "bad";
  }
  timer = setTimeout(poll, POLL_MS);
}

function connect() {
  const token = byId("token").value.trim();
  if (!token) return;
  session += 1;
  clearTimeout(timer);
  sessionStorage.setItem(TOKEN, token);
  byId("token").value = "";
  byId("login-error").textContent = "";
  poll();
}

byId("connect").addEventListener("click", connect);
byId("token").addEventListener("keydown", (event) => {
  if (event.key === "Enter") connect();
});
byId("forget").addEventListener("click", () => logOut(""));
if (sessionStorage.getItem(TOKEN)) poll();
