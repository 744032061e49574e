/** The address of the site, which may live below a path; what follows has no slash before it. */
export const site = new URL("../../../", import.meta.url);
