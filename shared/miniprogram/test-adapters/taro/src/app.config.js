export default { pages: ["pages/home/home", "pages/orders/orders"] };
