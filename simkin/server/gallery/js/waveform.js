/** The loudness of a recording over time, read in the browser. */

import { media } from "./api.js";

const LARGEST = 40_000_000;

/**
 * @typedef {{seconds: number, peaks: number[]}} Waveform `peaks`: the loudest of each slice, 0 to 1.
 */

/**
 * @param {string} id
 * @param {number} slices
 * @returns {Promise<Waveform | null>} Null where the browser cannot decode it, or it is too long to.
 */
export async function waveform(id, slices) {
  try {
    const response = await fetch(media(id));
    if (!response.ok || Number(response.headers.get("Content-Length")) > LARGEST) {
      await response.body?.cancel();
      return null;
    }
    const decoder = new OfflineAudioContext(1, 1, 22050);
    const sound = await decoder.decodeAudioData(await response.arrayBuffer());
    return { seconds: sound.duration, peaks: peaksOf(sound.getChannelData(0), slices) };
  } catch {
    return null;
  }
}

/** @param {Float32Array} samples @param {number} slices @returns {number[]} */
function peaksOf(samples, slices) {
  const each = Math.max(1, Math.floor(samples.length / slices));
  const peaks = Array.from({ length: slices }, (_, slice) => {
    let loudest = 0;
    for (let at = slice * each; at < Math.min(samples.length, (slice + 1) * each); at += 4)
      loudest = Math.max(loudest, Math.abs(samples[at]));
    return loudest;
  });
  const most = Math.max(...peaks, 1e-6);
  return peaks.map((peak) => peak / most);
}
