/** A question as data: items for and against, a file, what counts; written to an address and to a request. */

/**
 * @typedef {{id: string, weight: number}} Part
 * @typedef {{items: Part[], negatives: Part[], file: string, crop: string, category: string, where: string,
 *   diversity: number, emphasis: Record<string, number>}} Question
 *   `file` is a key of `uploads.js`; `crop` is "x,y,w,h" in fractions; `emphasis` multiplies facets' own weights.
 */

/** @param {Partial<Question>} [given] @returns {Question} */
export function question(given = {}) {
  const nothing = { items: [], negatives: [], file: "", crop: "", category: "", where: "", diversity: 0, emphasis: {} };
  return { ...nothing, ...given };
}

/** @param {URLSearchParams} params @returns {Question} */
export function parse(params) {
  const number = (text, otherwise) => (Number.isFinite(Number.parseFloat(text)) ? Number.parseFloat(text) : otherwise);
  /** @param {string} text "weight:id" @returns {Part} */
  const part = (text) => ({ weight: number(text, 1), id: text.slice(text.indexOf(":") + 1) });
  /** @type {Record<string, number>} */
  const emphasis = {};
  for (const text of params.getAll("more")) {
    const { weight, id } = part(text);
    emphasis[id] = weight;
  }
  return {
    items: [...params.getAll("id").map((id) => ({ id, weight: 1 })), ...params.getAll("plus").map(part)],
    negatives: params.getAll("minus").map(part),
    file: params.get("file") ?? "",
    crop: params.get("crop") ?? "",
    category: params.get("category") ?? "",
    where: params.get("where") ?? "",
    diversity: Math.min(1, Math.max(0, number(params.get("diversity"), 0))),
    emphasis,
  };
}

/** @param {Question} asked @returns {URLSearchParams} */
export function params(asked) {
  const written = new URLSearchParams();
  asked.items.forEach(({ id, weight }, place) => {
    if (place === 0 && weight === 1) written.append("id", id);
    else written.append("plus", `${weight}:${id}`);
  });
  for (const { id, weight } of asked.negatives) written.append("minus", `${weight}:${id}`);
  for (const name of ["file", "crop", "category", "where"]) if (asked[name]) written.set(name, asked[name]);
  if (asked.diversity) written.set("diversity", String(asked.diversity));
  for (const [facet, factor] of Object.entries(asked.emphasis)) {
    if (factor !== 1) written.append("more", `${factor}:${facet}`);
  }
  return written;
}

/**
 * The request that asks one relation.
 * @param {Question} asked
 * @param {import("./api.js").Relation} relation
 * @param {string[]} facets Kinds of facets that the question's modality has.
 * @param {number} k
 * @param {string | null} [category] Of the first item: what could replace it stays in it, whatever else is put in.
 */
export function body(asked, relation, facets, k, category = null) {
  const weighed = weights(asked, relation, facets);
  const kept = relation.rule === "same category" && asked.items.length > 1 ? category : null;
  const looked = asked.category || kept;
  return {
    items: asked.items,
    negatives: asked.negatives,
    relation: relation.name,
    k,
    where: asked.where,
    diversity: asked.diversity,
    ...(looked && { category: looked }),
    ...(weighed && { weights: weighed }),
  };
}

/**
 * @param {Pick<Question, "emphasis">} asked
 * @param {import("./api.js").Relation} relation
 * @param {string[]} facets
 * @returns {Record<string, number> | null} What each facet weighs; null where the relation's own weights hold.
 */
export function weights(asked, relation, facets) {
  const emphasised = facets.some((facet) => (asked.emphasis[facet] ?? 1) !== 1);
  if (!emphasised || relation.learned) return null;
  const own = (facet) => relation.weights[facet] ?? 0;
  const lifted = (facet) => {
    const factor = asked.emphasis[facet] ?? 1;
    return factor > 1 ? Math.max(own(facet), 0.1) * factor : own(facet) * factor; // what counts nothing can be raised
  };
  const weighed = Object.fromEntries(facets.map((facet) => [facet, Number(lifted(facet).toFixed(4))]));
  return Object.values(weighed).some((weight) => weight > 0) ? weighed : null;
}

/** @param {Question} asked @param {string} id @param {boolean} against @returns {Question} With that item, once. */
export function having(asked, id, against) {
  const without = lacking(asked, id);
  const part = { id, weight: 1 };
  return against
    ? { ...without, negatives: [...without.negatives, part] }
    : { ...without, items: [...without.items, part] };
}

/** @param {Question} asked @param {string} id @returns {Question} */
export function lacking(asked, id) {
  const others = (part) => part.id !== id;
  return { ...asked, items: asked.items.filter(others), negatives: asked.negatives.filter(others) };
}
